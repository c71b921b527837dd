"""What the Translate tab's client asks the server beside translations: models and examples."""

from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from cyclegan.images import EXTENSIONS
from cyclegan.ui.models import Entry, Shelf
from cyclegan.ui.words import Language, language_of, reword

EXAMPLES = Path(__file__).parent / "examples"


def examples() -> list[str]:
    """The names of the pictures to try it out with; none is fine."""
    found = EXAMPLES.iterdir() if EXAMPLES.is_dir() else ()
    return sorted(path.name for path in found if path.suffix in EXTENSIONS)


def stage_routes(shelf: Shelf) -> list[Route]:
    """The routes for the models of a shelf and for the examples."""

    def models(request: Request) -> Response:
        language = language_of(request)
        return _json({"models": [_model(entry, language) for entry in shelf.entries()]})

    def names(request: Request) -> Response:
        return _json({"examples": examples()})

    def example(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in examples():
            return Response(status_code=404)
        return FileResponse(EXAMPLES / name, headers={"Cache-Control": "max-age=3600"})

    return [
        Route("/studio/shelf.json", models),
        Route("/studio/examples.json", names),
        Route("/studio/examples/{name}", example),
    ]


def _model(entry: Entry, language: Language) -> dict[str, Any]:
    info, translator = entry.info, entry.translator
    sides = translator.weights.config.short_sides if translator else None
    return {
        "name": entry.name,
        "state": entry.state,
        # Also while its networks are on their way into memory, for which the server waits.
        "usable": bool(entry.directions) and entry.state != "failed",
        "reason": reword(entry.reason, language),
        "revision": info.revision if info else None,
        "labels": info.labels if info else None,
        "directions": list(entry.directions),
        "drawn": info.drawn if info else False,
        # The longest short side, in pixels, that the networks were trained on: what it probably
        # is, as long as they are not in memory.
        "scale": sides[1] if sides else round(1.12 * info.image_size) if info else None,
    }


def _json(answer: dict[str, Any]) -> Response:
    return JSONResponse(answer, headers={"Cache-Control": "no-cache"})
