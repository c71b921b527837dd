"""The page for people who see little or have no mouse: WCAG 2.1 AA, as far as axe can tell."""

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from page_server import PageServer, watched_page
from page_states import EXPECTED, STATES, studio
from playwright.sync_api import Browser, Page

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
# What gradio's own markup breaks and cannot be mended from outside: (rule, selector) and why.
ALLOWED = {
    ("nested-interactive", 'button[aria-label="Upload"]'): (
        "Gradio's File, once it holds files, puts the button that adds more into another button; "
        "the inner one is reached by keys, is labelled, and works."
    ),
}


def violations(page: Page) -> list[str]:
    """What axe finds on the page as it is now, a line a finding."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{rule['id']}: {node['target']} {node['html'][:120]} ({node['failureSummary'][:200]})"
        for rule in found
        for node in rule["nodes"]
        if (rule["id"], node["target"][0]) not in ALLOWED
    ]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_in_any_state(
    browser: Browser, studio: PageServer, scheme: Literal["light", "dark"], width: int
) -> None:
    # Without motion: a colour on its way from one to another is neither.
    with watched_page(
        browser,
        studio,
        expected=EXPECTED,
        color_scheme=scheme,
        reduced_motion="reduce",
        viewport={"width": width, "height": 900},
    ) as page:
        found = {}
        for name, reach in STATES.items():
            reach(page)
            found[name] = violations(page)
        assert {name: lines for name, lines in found.items() if lines} == {}


FROM_THE_TOP = """() => {
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute("tabindex");
}"""
# Where the keys are, and how thick a ring says so: on the element, or on what stands for it.
FOCUSED = """() => {
    const element = document.activeElement;
    if (element === document.body) return null;
    const rings = [element, element.parentElement].map((around) => {
        const {outlineStyle, outlineWidth} = getComputedStyle(around);
        const {width, height} = around.getBoundingClientRect();
        const hidden = getComputedStyle(around).opacity === "0" || width * height < 9;
        return outlineStyle === "none" || hidden ? 0 : parseFloat(outlineWidth);
    });
    window.stops ??= new Set();
    window.stops.add(element);
    return [element.outerHTML.slice(0, 200), Math.max(...rings)];
}"""
# What can be seen and used with a mouse, and was not come by; of a group of radio buttons, one.
MISSED = """() => {
    const all = "a[href], button, input, select, summary, textarea, [role=button], [role=slider]";
    const groups = new Set([...window.stops].map((element) => element.name).filter(Boolean));
    return [...document.querySelectorAll(all)]
        .filter((element) => element.checkVisibility({visibilityProperty: true}))
        .filter((element) => !element.disabled && !element.closest("[aria-hidden=true], [inert]"))
        .filter((element) => element.type !== "file" && !window.stops.has(element))
        .filter((element) => element.type !== "radio" || !groups.has(element.name))
        .map((element) => element.outerHTML.slice(0, 200));
}"""


def stops_of_the_keys(page: Page) -> int:
    """Go through the page by the tab key: all is reached and its ring is seen; how many stops."""
    page.evaluate(FROM_THE_TOP)
    unseen, stops = [], 0
    while stops < 100:
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUSED)
        if focus is None:
            break
        stops += 1
        element, ring = focus
        if ring < 2:
            unseen.append(element)
    assert stops < 100, "the keys go in circles"
    assert unseen == []
    assert page.evaluate(MISSED) == []
    return stops


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "states",
    [("nothing yet", "translated"), ("live",), ("batch",), ("models",), ("training",)],
    ids=lambda states: states[-1],
)
def test_keys_alone_reach_everything_and_can_be_seen_to(
    browser: Browser,
    studio: PageServer,
    states: tuple[str, ...],
    scheme: Literal["light", "dark"],
) -> None:
    with watched_page(browser, studio, expected=EXPECTED, color_scheme=scheme) as page:
        for state in states:
            STATES[state](page)
        assert stops_of_the_keys(page) > 5
