"""Weights that a visitor of the page names: strangers' files, named by a stranger.

They are fetched without the token of whoever runs the page, so that only public repositories open,
and are bounded in bytes, in seconds, and in the memory that they ask for, before anything large is
fetched or built. What is left is data: JSON, safetensors, Markdown and a picture, never a pickle.
"""

import time
from pathlib import Path

import huggingface_hub as hf
from huggingface_hub import constants, errors, utils

from cyclegan import hub
from cyclegan.files import CARD, CONFIG, SAMPLE_SHEET, TENSORS
from cyclegan.weights import WeightsConfig, WeightsError, read_config, tensor_shapes

MOST_BYTES = {CONFIG: 100_000, TENSORS: 500_000_000, CARD: 1_000_000, SAMPLE_SHEET: 10_000_000}
"""What each file may measure. Two U-Nets for 256 pixels in full precision take 435 MB."""
MOST_PARAMETERS = 125_000_000
"""In memory these take 500 MB, whatever precision the file is in."""
MOST_SETTING = 256
"""No width or number of blocks is larger; the paper has 64 and 9."""
MOST_PIXELS_A_SIDE = 1024
"""To which a picture would be enlarged for the networks; they may see larger ones as they are."""
MOST_LETTERS = 60
"""Of what a domain is called."""
SECONDS = 600.0
"""How long fetching may take altogether."""
TIMEOUT = 20.0
"""How long the Hub may be silent."""


def clean(typed: str) -> str:
    """What a visitor typed as a name: a link to a model's page on the Hub is one too."""
    name = " ".join(typed.split())
    for start in (f"{constants.ENDPOINT}/", "https://huggingface.co/"):
        if name.startswith(start):
            name = "/".join(name.removeprefix(start).split("?")[0].split("/")[:2])
    if not name or len(name) > 300:
        raise hub.HubError("Write the name of a model on the Hub: USER/NAME[@REVISION].")
    return name


def fetch(name: str, folder: Path) -> str:
    """Fetch the weights USER/NAME[@REVISION] into an empty folder; returns their commit.

    Raises HubError or WeightsError, one sentence, when they cannot be had or are not acceptable.
    """
    target = hub.parse_name(name)
    deadline = time.monotonic() + SECONDS
    try:
        commit = hub.head_commit(target, TIMEOUT, token=False)
        files = hf.HfApi(token=False).get_paths_info(
            target.repo_id, list(MOST_BYTES), revision=commit
        )
        sizes = {file.path: file.size for file in files if isinstance(file, hf.hf_api.RepoFile)}
        _check_sizes(name, sizes)
        # In the order of MOST_BYTES: the config is small, and may spare us the rest.
        for path in (path for path in MOST_BYTES if path in sizes):
            url = hf.hf_hub_url(target.repo_id, path, revision=commit)
            _download(url, folder / path, sizes[path], deadline)
            if path == CONFIG:
                _check_config(name, folder)
    except (hub.HubError, WeightsError):
        raise
    except Exception as error:
        status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 0
        if status in (401, 403, 404) and not isinstance(error, errors.RevisionNotFoundError):
            raise hub.HubError(
                f"The Hub has no model {target.repo_id}, or not for everybody; "
                "this page opens public ones only."
            ) from error
        with hub.explained(f"fetch {name}", target):
            raise
    _check_tensors(name, folder)
    return commit


def _download(url: str, path: Path, size: int, deadline: float) -> None:
    headers = utils.build_hf_headers(token=False)
    with (
        hf.get_session().stream("GET", url, headers=headers, timeout=TIMEOUT) as response,
        path.open("wb") as file,
    ):
        utils.hf_raise_for_status(response)
        for chunk in response.iter_bytes(1 << 20):
            if (file.write(chunk) and file.tell() > size) or time.monotonic() > deadline:
                break
    if path.stat().st_size != size or time.monotonic() > deadline:
        raise hub.HubError(f"{path.name} did not arrive as a whole in time; try again later.")


def _check_sizes(name: str, sizes: dict[str, int]) -> None:
    for path in (CONFIG, TENSORS):
        if path not in sizes:
            raise hub.HubError(f"{name} holds no weights for this page: it has no {path}.")
    for path, size in sizes.items():
        if size > MOST_BYTES[path]:
            most = MOST_BYTES[path] / 1e6
            raise hub.HubError(
                f"{name} is too large for this page: {path} has {size / 1e6:,.1f} MB, "
                f"of at most {most:,.1f} MB."
            )


def _check_config(name: str, folder: Path) -> None:
    try:
        config = read_config(folder)
    except WeightsError as error:
        text = str(error).replace(f"{folder}/", "")
        raise WeightsError(f"{name} holds no weights for this page: {text}") from None
    if wrong := _beyond(config):
        raise WeightsError(f"{name} asks for more than this page gives: {wrong}.")


def _beyond(config: WeightsConfig) -> str:
    """The first thing in a config that no sane model has, or ""."""
    for key, value in config.settings.items():
        if isinstance(value, int) and value > MOST_SETTING:
            return f"{key} is {value:,}, of at most {MOST_SETTING:,}"
    low, high = config.short_sides or (0, 0)
    sides = {"image_size": config.image_size, "short_sides": low}
    for key, value in sides.items():
        if value > MOST_PIXELS_A_SIDE:
            return f"{key} is {value:,}, of at most {MOST_PIXELS_A_SIDE:,}"
    if config.image_size < 8 or not 0 <= low <= high <= 4 * MOST_PIXELS_A_SIDE:
        return "its images have no size that there is"
    if max(len(config.label_a), len(config.label_b)) > MOST_LETTERS:
        return f"a label has more than {MOST_LETTERS} letters"
    return ""


def _check_tensors(name: str, folder: Path) -> None:
    try:
        shapes = tensor_shapes(folder / TENSORS)
    except WeightsError as error:
        raise WeightsError(str(error).replace(str(folder), name)) from None
    count = sum(shape.numel() for shape in shapes.values())
    if count > MOST_PARAMETERS:
        raise WeightsError(
            f"{name} asks for more than this page gives: it has {count / 1e6:,.0f} million "
            f"parameters, of at most {MOST_PARAMETERS / 1e6:,.0f}."
        )
