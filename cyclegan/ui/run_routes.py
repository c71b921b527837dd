"""What the Training tab asks the server: the routes that serve its client and the runs.

Every answer about a run carries an ETag. Asked again with it, a run without news answers 304,
which has no body; the page asks often.
"""

import hashlib
import json
import re
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cyclegan.errors import UserError
from cyclegan.run_source import RunSource
from cyclegan.ui.run_store import RunStore
from cyclegan.ui.run_view import row_labels
from cyclegan.ui.timelapse import Kind, find_all, strip, thumbnail, timelapse
from cyclegan.ui.words import language_of, reword

CLIENT = Path(__file__).resolve().parent / "client"
ROOT = "training"
"""What the paths of all routes begin with."""
PAGE = 24
"""Runs in one answer, unless more are asked for."""
TYPES = {".js": "text/javascript", ".css": "text/css"}
FOREVER = "private, max-age=604800, immutable"
"""For pictures, whose address changes when they do."""
TILES, LARGE = 64, 512
"""Tiles in one answer at most, and pixels of the longest side of a thumbnail."""
STRIP, SMALL = 48, 64
"""Pictures in a film strip at most, and pixels of its height."""


def run_routes(source: RunSource) -> list[Route]:
    """The routes for the runs of a source. Their functions block, each in a thread of its own."""
    store = RunStore(source)
    # An animation takes a processor for seconds; one at a time leaves the page responsive.
    animating = threading.Lock()

    def client(request: Request) -> Response:
        path = (CLIENT / request.path_params["file"]).resolve()
        if CLIENT not in path.parents or path.suffix not in TYPES or not path.is_file():
            return Response(status_code=404)
        # Always asked for, hardly ever sent: a new version of the page brings all its parts.
        return _unless_known(request, path.read_bytes(), TYPES[path.suffix])

    def runs(request: Request) -> Response:
        names = source.names()
        language = language_of(request)
        cards = [store.card(name, language) for name in names[: _int(request, "count", PAGE)]]
        answer = {
            "where": source.where,
            "local": source.local,
            "problem": reword(source.problem, language),
            "total": len(names),
            "runs": [card for card in cards if card],
        }
        return _json(request, answer)

    def run(request: Request) -> Response:
        name, language = request.path_params["name"], language_of(request)
        overview = {
            **store.overview(name, language),
            "checkpoints": source.checkpoints(name),
            "local": source.local,
            "problem": reword(source.problem, language),
        }
        return _json(request, overview)

    def curves(request: Request) -> Response:
        return _json(request, store.curves(request.path_params["name"], language_of(request)))

    def tile(request: Request) -> Response:
        path = find(request, request.path_params["step"], request.path_params["tile"])
        if path is None:
            return Response(status_code=404)
        small = thumbnail(path, min(_int(request, "size", LARGE), LARGE))
        return _picture(small, "image/webp") if small else Response(status_code=404)

    def frame(request: Request) -> Response:
        """Several tiles of a step in one answer, so that a scrubbed step is one request.

        Four bytes of length, a JSON object {tile: length}, then the files one after the other;
        with `size`, thumbnails of them.
        """
        step, size, parts = request.path_params["step"], _int(request, "size", 0), {}
        for tile in request.query_params.get("tiles", "").split(",")[:TILES]:
            path = find(request, step, tile)
            if path and size:
                parts[tile] = thumbnail(path, min(size, LARGE)) or b""
            else:
                parts[tile] = path.read_bytes() if path else b""
        head = json.dumps({tile: len(content) for tile, content in parts.items()}).encode()
        body = b"".join((len(head).to_bytes(4, "big"), head, *parts.values()))
        answer = _picture(body, "application/octet-stream")
        if not all(parts.values()):
            # What is missing may still come.
            answer.headers["Cache-Control"] = "no-store"
        return answer

    def film(request: Request) -> Response:
        tile = request.path_params["tile"]
        samples = store.overview(request.path_params["name"])["samples"]
        # The page asks for the strip up to a step, so that its address changes with its content.
        until = _int(request, "until", 0)
        samples = [step for step in samples if step <= until] or samples
        if not samples:
            return Response(status_code=404)
        count = max(1, min(_int(request, "count", 16), STRIP, len(samples)))
        # The middle of each stretch of time, since that is where its picture lies on the slider.
        chosen = [samples[int((i + 0.5) * len(samples) / count)] for i in range(count)]
        found = find_all(partial(find, request), [(step, tile) for step in chosen])
        return _picture(strip(found.values(), SMALL), "image/webp")

    def animation(request: Request) -> Response:
        name, kind = request.path_params["name"], cast(Kind, request.path_params["kind"])
        if kind not in ("webp", "gif"):
            return Response(status_code=404)
        probe, seen = request.path_params["probe"], store.overview(name)
        asked = request.query_params.get("rows", "0").split(",")
        chosen = [row for index, row in enumerate(seen["rows"]) if str(index) in asked]
        rows = [dict(zip(row, row_labels(row, seen["labels"]), strict=True)) for row in chosen]
        with animating:
            content = timelapse(
                seen["samples"],
                rows,
                lambda step, name: find(request, step, f"{name}.{probe}"),
                int(seen["total"]),
                kind,
            )
        words = "-and-".join("-to-".join(list(row.values())[:2]) for row in rows)
        file = re.sub(r"[^\w.-]+", "-", f"{name}-{words}-{probe + 1}.{kind}")
        return Response(
            content,
            media_type=f"image/{kind}",
            headers={"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file)}"},
        )

    def find(request: Request, step: int, tile: str) -> Path | None:
        """Where a tile is, by its name and probe: "fake_b.0"."""
        name, _, probe = tile.rpartition(".")
        if not name.isidentifier() or not probe.isdecimal() or len(probe) > 4:
            return None
        return source.tile(request.path_params["name"], step, name, int(probe))

    return [
        Route(f"/{ROOT}/client/{{file:path}}", client),
        Route(f"/{ROOT}/runs.json", _answering(runs)),
        Route(f"/{ROOT}/runs/{{name}}/run.json", _answering(run)),
        Route(f"/{ROOT}/runs/{{name}}/curves.json", _answering(curves)),
        Route(f"/{ROOT}/runs/{{name}}/tiles/{{step:int}}/{{tile}}", _answering(tile)),
        Route(f"/{ROOT}/runs/{{name}}/frames/{{step:int}}", _answering(frame)),
        Route(f"/{ROOT}/runs/{{name}}/strip/{{tile}}", _answering(film)),
        Route(f"/{ROOT}/runs/{{name}}/timelapse/{{probe:int}}.{{kind}}", _answering(animation)),
    ]


def _answering(endpoint: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Answer what people can mend with 404 and its sentence."""

    def answer(request: Request) -> Response:
        try:
            return endpoint(request)
        except UserError as error:
            body = json.dumps({"error": reword(str(error), language_of(request))})
            return Response(body, 404, media_type="application/json")
        except OSError:
            # Training takes samples back when it resumes, and may do so between two lines here.
            return Response(status_code=404)

    return answer


def _json(request: Request, value: Any) -> Response:
    return _unless_known(request, json.dumps(value, allow_nan=False).encode(), "application/json")


def _unless_known(request: Request, body: bytes, kind: str) -> Response:
    """The body with its ETag, or 304 for somebody who has it already."""
    tag = hashlib.blake2b(body, digest_size=9).hexdigest()
    # A proxy that compresses marks the tag as weak.
    known = tag in request.headers.get("If-None-Match", "")
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    if known:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=kind, headers=headers)


def _picture(body: bytes, kind: str) -> Response:
    return Response(body, media_type=kind, headers={"Cache-Control": FOREVER})


def _int(request: Request, key: str, default: int) -> int:
    value = request.query_params.get(key, "")
    return int(value) if value.isdecimal() and len(value) < 12 else default
