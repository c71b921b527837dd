"""How a picture was made, in its metadata: written with the file, and read back from it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from PIL import ExifTags, Image, PngImagePlugin

from cyclegan import __version__
from cyclegan.config import ConfigError, Direction, Strict, from_json

if TYPE_CHECKING:
    from cyclegan.translator import Info

MAKER = "cyclegan"


@dataclass(frozen=True)
class Recipe(Strict):
    """How a picture was made.

    Attributes:
        model: the Hub name of the weights, or the name of their folder.
        revision: the commit on the Hub, or None for a folder.
        direction: in which it was translated.
        domains: what that means, such as "apple → orange".
        picture: what the file shows: "fake", "recovered" (translated there and back), "sheet" (the
            three side by side) or "clip" (one after the other).
        strength: from 0 (the photo) to 1 (the translation).
        detail: from 0 (the network at the scale of its training) to 1 (at all pixels).
        version: of this package.
    """

    model: str
    revision: str | None
    direction: Direction
    domains: str
    picture: str = "fake"
    strength: float = 1.0
    detail: float = 0.0
    version: str = __version__

    @classmethod
    def of(
        cls,
        model: "Info",
        direction: Direction,
        picture: str = "fake",
        strength: float = 1.0,
        detail: float = 0.0,
    ) -> "Recipe":
        """The recipe for what a loaded model has made; without the paths of this machine."""
        name = model.source.split("@")[0] if model.revision else Path(model.name).name
        domains = f"{model.labels[direction[0]]} → {model.labels[direction[2]]}"
        return cls(name, model.revision, direction, domains, picture, strength, detail)

    def options(self, format: str) -> dict[str, Any]:
        """What to give `PIL.Image.save` so that a file of a format, or extension, has the recipe.

        PNG holds it as text (iTXt), GIF as a comment, WebP, JPEG, TIFF and AVIF as the description
        in their EXIF. Other formats have no place for it.
        """
        text = json.dumps({MAKER: asdict(self)})
        match format.upper():
            case "PNG":
                chunks = PngImagePlugin.PngInfo()
                chunks.add_itxt(MAKER, text)
                return {"pnginfo": chunks}
            case "GIF":
                return {"comment": text.encode()}
            case "WEBP" | "JPEG" | "JPG" | "TIFF" | "TIF" | "AVIF":
                exif = Image.Exif()
                exif[ExifTags.Base.ImageDescription] = text
                exif[ExifTags.Base.Software] = f"{MAKER} {self.version}"
                return {"exif": exif}
        return {}


def read_recipe(file: str | Path | BinaryIO) -> Recipe | None:
    """The recipe in a picture file, or None if it has none that this version understands.

    Raises OSError when the file is missing or no picture.
    """
    with Image.open(file) as image:
        texts = [
            getattr(image, "text", {}).get(MAKER),
            image.info.get("comment"),
            image.getexif().get(ExifTags.Base.ImageDescription),
        ]
    for text in texts:
        try:
            return from_json(Recipe, json.dumps(json.loads(text or "")[MAKER]), "the recipe")
        except (ConfigError, ValueError, TypeError, KeyError):
            continue
    return None
