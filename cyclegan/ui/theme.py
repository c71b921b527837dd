"""Colours, corners and fonts of the page; style.css has the rest."""

from gradio import themes


def theme() -> themes.Base:
    """Warm paper, dark ink, one green; fonts that every machine has, so nothing is fetched."""
    green = themes.Color(
        "#eef6f2", "#d8eae1", "#b3d6c5", "#86bca4", "#599f82", "#38846a",
        "#2a6a55", "#235646", "#1e463a", "#193a31", "#0c211b", name="leaf",
    )  # fmt: skip
    stone = themes.Color(
        "#faf8f4", "#f3f0e9", "#e6e1d6", "#d3ccbe", "#a8a092", "#7d766a",
        "#5e584e", "#48433b", "#2e2b26", "#1f1d1a", "#161513", name="paper",
    )  # fmt: skip
    text = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Ubuntu", "sans-serif")
    mono = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
    base = themes.Base(
        primary_hue=green, secondary_hue=green, neutral_hue=stone, font=text, font_mono=mono,
        radius_size=themes.sizes.radius_lg,
    )  # fmt: skip
    return base.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_100",
        background_fill_secondary_dark="*neutral_800",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        border_color_primary="*neutral_200",
        border_color_primary_dark="*neutral_800",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_400",
        block_title_text_color="*neutral_600",
        block_title_text_color_dark="*neutral_400",
        # The green that white letters can be read on.
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
        link_text_color="*primary_600",
        link_text_color_dark="*primary_300",
    )
