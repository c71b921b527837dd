"""Weights by the name that people give them: a folder, or a repository on the Hub."""

import logging
from pathlib import Path

from cyclegan import hub
from cyclegan.weights import Weights, WeightsError, load_weights

logger = logging.getLogger(__name__)


def open_weights(source: str | Path, token: str | None = None) -> tuple[Weights, Path]:
    """Load a weights folder or a Hub repository, USER/NAME[@REVISION]; also says where it lies.

    An existing folder wins over a Hub repository of the same name. From the Hub, files come from
    the cache when the network is gone, and a damaged cached file is fetched once more.

    Raises:
        WeightsError: the folder is no weights folder, or damaged.
        HubError: the repository cannot be had.
    """
    text = str(source)
    if Path(source).is_dir():
        return load_weights(source), Path(source)
    if not hub.is_hub_name(text):
        raise WeightsError(f"{text} is neither a weights folder nor a Hub name (USER/NAME).")
    folder = hub.pull(text, token=token)
    try:
        return load_weights(folder), folder
    except WeightsError as error:
        # A download that was cut short stays in the cache and is noticed only here.
        logger.warning("%s Fetching it again.", error)
        folder = hub.pull(text, token=token, force=True)
        return load_weights(folder), folder
