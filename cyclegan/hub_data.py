"""Data sets on the Hugging Face Hub: `--data hf://OWNER/NAME[@REVISION]`."""

import io
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub as hf
import PIL.Image
from filelock import FileLock
from huggingface_hub import constants, errors
from tqdm import tqdm

from cyclegan.config import DataConfig
from cyclegan.files import appearing
from cyclegan.hub import HubError, HubName, explained, is_outage, parse_name
from cyclegan.images import EXTENSIONS, FORMATS
from cyclegan.photos import SIDES, DataError, resolve, sided

logger = logging.getLogger(__name__)

# Also in capitals, as cameras write them.
PICTURES = [f"*{case}" for ending in EXTENSIONS for case in (ending, ending.upper())]
TABLES = ["*.parquet", "README.md"]


def fetched(config: DataConfig, sides: Sequence[str] = SIDES) -> DataConfig:
    """Replace a data set on the Hub by a folder on this disk; any other is left as it is.

    Pictures stay in the Hub's cache; those in Parquet files are unpacked beside it, once. Where the
    config gives none, it gets its labels from the data set's name and its licence from the data
    set's card; its description then ends with the name and the commit of the data set.

    Without a network a copy in the cache serves, and a warning is logged.

    Raises HubError when it is not to be had or holds no pictures, and DataError when a model of
    these `sides` cannot be trained on its columns.
    """
    # Of hf://…, Path keeps one slash.
    path = config.data.as_posix() if config.data is not None else ""
    # With both, it is refused before anything is fetched.
    if not path.startswith("hf:/") or config.domain_a or config.domain_b:
        return config
    name = path.removeprefix("hf:/").removeprefix("datasets/")
    target = parse_name(name)
    folder, license = _snapshot(name, target)
    commit = folder.name
    one_column = len(sides) == 1 or config.layout is not None
    if any(folder.rglob("*.parquet")):
        folder = _unpacked(name, target, folder, one_column)
    elif not one_column:
        # Some keep their folders in another one.
        inner = (path for path in sorted(folder.iterdir()) if path.is_dir())
        folder = next((path for path in (folder, *inner) if sided(path, "train", "a")), folder)
    link = f"[{target.repo_id}]({constants.ENDPOINT}/datasets/{target.repo_id}/tree/{commit})"
    return replace(
        resolve(replace(config, data=Path(target.repo_id)), sides),
        data=folder,
        license=config.license or license,
        description=f"{config.description} From {link}, commit {commit[:7]}.".strip(),
    )


def _snapshot(name: str, target: HubName) -> tuple[Path, str]:
    """Fetch the pictures, or Parquet files where there are any; returns folder and licence."""
    # For messages, which should not send anybody to a model of the same name.
    shown = HubName(f"datasets/{target.repo_id}", target.revision)
    with explained(f"fetch hf://{name}", shown):
        try:
            timeout = constants.HF_HUB_ETAG_TIMEOUT
            info = hf.HfApi().dataset_info(
                target.repo_id, revision=target.revision, timeout=timeout
            )
            files = [file.rfilename.lower() for file in info.siblings or []]
            tables = any(file.endswith(".parquet") for file in files)
            if not tables and not any(file.endswith(EXTENSIONS) for file in files):
                raise HubError(f"hf://{name} has neither pictures nor Parquet files to train on.")
            folder = _download(target, TABLES if tables else PICTURES)
        except Exception as error:
            cached = _cached(target) if is_outage(error) else None
            if cached is None:
                raise
            logger.warning(
                "The Hub does not answer; the cached commit %s of %s serves.", cached.name[:7], name
            )
            return cached, ""
    card = info.card_data.to_dict() if info.card_data else {}
    return folder, card["license"] if isinstance(card.get("license"), str) else ""


def _download(target: HubName, patterns: list[str], **options: Any) -> Path:
    repo, revision = target
    return Path(
        hf.snapshot_download(
            repo, repo_type="dataset", revision=revision, allow_patterns=patterns, **options
        )
    )


def _cached(target: HubName) -> Path | None:
    for patterns in (TABLES, PICTURES):
        with suppress(errors.LocalEntryNotFoundError):
            return _download(target, patterns, local_files_only=True)
    return None


def _unpacked(name: str, target: HubName, folder: Path, one_column: bool) -> Path:
    """Unpack Parquet files into train and test, or trainA and so on; once for every commit."""
    kind = "one" if one_column else "two"
    assets = hf.cached_assets_path(
        "cyclegan", target.repo_id, f"{folder.name}-{kind}", assets_dir=constants.HF_ASSETS_CACHE
    )
    # Several processes may train together.
    with FileLock(assets / "lock"):
        if not (assets / "pictures").is_dir():
            with appearing(assets / "pictures") as made:
                _unpack(name, folder, made, one_column)
    return assets / "pictures"


def _unpack(name: str, folder: Path, made: Path, one_column: bool) -> None:
    try:
        import datasets
    except ImportError:
        raise DataError(
            f"hf://{name} is in Parquet files, which need a package: pip install datasets."
        ) from None
    # It logs what it raises, which is said below.
    logging.getLogger("datasets").setLevel(logging.CRITICAL)
    try:
        splits: Any = datasets.load_dataset(str(folder), streaming=True)
        for split, theirs in (("train", ("train",)), ("test", ("test", "validation"))):
            found = next((splits[key] for key in theirs if key in splits), None)
            if found is None and split == "train":
                raise DataError(f"hf://{name} has no split train, only {', '.join(splits)}.")
            if found is not None:
                _write_split(name, found, made, split, one_column)
    except (DataError, OSError):
        raise
    except Exception as error:
        # The library passes on what several others raise.
        text = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"The Parquet files of hf://{name} cannot be read: {text}.") from error


def _write_split(name: str, rows: Any, made: Path, split: str, one_column: bool) -> None:
    columns, label = _columns(name, rows.features, one_column)
    for index, row in enumerate(tqdm(rows.decode(False), desc=f"Unpacking {split}", unit="row")):
        pictures: dict[str, Any] = {
            side: (row[column] or {}).get("bytes") for side, column in columns.items()
        }
        if label is not None:
            pictures = {"AB"[row[label]]: pictures["A"]} if row[label] in (0, 1) else {}
        suffixes = {side: _suffix(content) for side, content in pictures.items()}
        if not pictures or None in suffixes.values():
            logger.warning("Skipped row %d of %s: no picture that can be read.", index, split)
            continue
        for side, content in pictures.items():
            place = made / (split if one_column else f"{split}{side}")
            place.mkdir(exist_ok=True)
            (place / f"{index:06}{suffixes[side]}").write_bytes(content)


def _columns(name: str, features: Any, one_column: bool) -> tuple[dict[str, str], str | None]:
    """Which columns hold the pictures of each side, and which tells the side, if one does."""
    from datasets import ClassLabel, Image

    pictures = [
        column
        for column, kind in features.items()
        if isinstance(kind, Image) or (isinstance(kind, dict) and "bytes" in kind)
    ]
    labels = [
        column
        for column, kind in features.items()
        if isinstance(kind, ClassLabel) and len(kind.names) == 2
    ]
    if one_column and pictures:
        return {"A": pictures[0]}, None
    if len(pictures) == 2:
        return dict(zip("AB", pictures, strict=True)), None
    if len(pictures) == 1 and len(labels) == 1:
        return {"A": pictures[0]}, labels[0]
    listed = ", ".join(pictures) or "none"
    raise DataError(
        f"hf://{name} has these columns of pictures: {listed}; two domains need two, or one and a "
        "label of two classes."
    )


def _suffix(content: bytes | None) -> str | None:
    """The extension of a picture, by its first bytes; None for anything else."""
    with suppress(Exception), PIL.Image.open(io.BytesIO(content or b""), formats=FORMATS) as image:
        # A JPEG of several pictures is MPO.
        return {"JPEG": ".jpg", "MPO": ".jpg"}.get(image.format or "", f".{image.format}".lower())
    return None
