"""What the page says, in English and Simplified Chinese; the browser's language decides.

The texts are in the folder words/, a file an area: {"key": {"en": "…", "zh-CN": "…"}}, where
"translate.direction" is `direction` in words/translate.json. Labels of components are translated by
gradio in the browser (`word`), sentences with figures in them on the server (`say`), and our own
JavaScript fetches all of its language's texts (`word_routes`, client/words.js). A text of the form
"{n} photo|{n} photos" is for one and for any other `n`. Texts in words/errors.json are found by
what they say, so that the rest of the package need not know of languages (`reword`); one with a
"part" stands in the {place} of that name of others only. What gradio itself lacks a word for is in
words/common.json, by gradio's own keys, or is labelled by client/labels.js (`RELABEL`).

The server decides, once a page, by what the browser accepts; <html lang> carries that to our
JavaScript and to gradio (`Spoken`), so that a page is never in two languages.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.i18n import I18nData
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOLDER = Path(__file__).parent / "words"
Language = Literal["en", "zh-CN"]
LANGUAGES: tuple[Language, ...] = ("en", "zh-CN")
RELABEL = """
() => import(new URL("training/client/labels.js", document.baseURI)).then((own) => own.relabel())
"""
"""JavaScript for a freshly loaded page: labels that gradio has in English only."""
SENTENCES = ("", "reason", "error")
"""Places that hold whole sentences of errors.json in their turn; "" is the text itself."""
_PLACE = re.compile(r"\{(\w+)\}")


def word(key: str) -> Any:
    """A text for a component's label, placeholder or value, which gradio's hints do not all know.

    Raises KeyError if there is none.
    """
    _texts()[key]
    return I18nData(key)


def say(language: Language, key: str, **values: Any) -> str:
    """A sentence in a language; `values` fill its {places}. Raises KeyError if there is none."""
    one, _, many = _texts()[key][language].partition("|")
    return (many if many and values.get("n") != 1 else one).format(**values)


def language_of(request: gr.Request | Request | None) -> Language:
    """The first language of this page that a browser accepts, by its Accept-Language; or English.

    Every kind of Chinese is Simplified Chinese here.
    """
    accepted = request.headers.get("accept-language", "") if request else ""
    weighed = []
    for part in accepted.lower().split(","):
        tag, *parameters = (word.strip() for word in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        if re.fullmatch(r"[01](\.\d*)?", weight) and float(weight):
            weighed.append((-float(weight), tag.partition("-")[0]))
    # Sorting is stable: of equal weights, the first.
    for _, tag in sorted(weighed, key=lambda pair: pair[0]):
        if tag in ("zh", "en"):
            return "zh-CN" if tag == "zh" else "en"
    return "en"


class Spoken:
    """ASGI middleware: has the page say its language, and gradio take that one for the browser's.

    Left to itself, gradio shows its own buttons in any of thirty languages, though never in one of
    Hong Kong or Singapore, whatever ours are in.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; in the page itself, "/" behind any prefix, replace <html lang>."""
        if scope["type"] != "http" or not scope["path"].endswith("/"):
            return await self._app(scope, receive, send)
        started: Message = {}

        async def spoken(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Held back until the length is known.
                started.update(message)
                return
            if started:
                headers = MutableHeaders(scope=started)
                if headers.get("content-type", "").startswith("text/html"):
                    before = message.get("body", b"")
                    message = {**message, "body": _spoken(before, language_of(Request(scope)))}
                    if before and "content-length" in headers:
                        grown = len(message["body"]) - len(before)
                        headers["content-length"] = str(int(headers["content-length"]) + grown)
                    headers.add_vary_header("Accept-Language")
                await send(started.copy())
                started.clear()
            await send(message)

        await self._app(scope, receive, spoken)


def reword(text: str, language: Language) -> str:
    """A sentence of the package in a language; as it stands when words/errors.json has it not."""
    return text if language == "en" else _reworded(text, place="")


def catalogue() -> gr.I18n:
    """All texts, as `launch` takes them."""
    texts = {name: {key: text[name] for key, text in _texts().items()} for name in LANGUAGES}
    return gr.I18n(**texts)


def word_routes() -> list[Route]:
    """The route from which our JavaScript has its texts: words/en.json, words/zh-CN.json."""

    def texts(request: Request) -> Response:
        language = request.path_params["language"]
        if language not in LANGUAGES:
            return Response(status_code=404)
        answer = {key: text[language] for key, text in _texts().items()}
        return JSONResponse(answer, headers={"Cache-Control": "no-cache"})

    return [Route("/words/{language}.json", texts)]


def _spoken(page: bytes, language: Language) -> bytes:
    script = f'Object.defineProperty(navigator, "language", {{get: () => "{language}"}})'
    head = f"<head><script>{script}</script>".encode()
    # The two things about gradio's page that are relied upon, and that tests look at.
    page = page.replace(b'lang="en"', f'lang="{language}"'.encode(), 1)
    return page.replace(b"<head>", head, 1)


@cache
def _texts() -> dict[str, dict[Language, str]]:
    return {
        f"{path.stem}.{key}": text
        for path in sorted(FOLDER.glob("*.json"))
        if path.stem != "errors"
        for key, text in json.loads(path.read_text(encoding="utf-8")).items()
    }


def _reworded(text: str, place: str) -> str:
    for pattern, part, translation in _errors():
        fits = part == place or (not part and place in SENTENCES)
        if fits and (match := pattern.fullmatch(text)):
            values = {name: _reworded(value, name) for name, value in match.groupdict().items()}
            pieces = _PLACE.split(translation)
            return "".join(values[piece] if i % 2 else piece for i, piece in enumerate(pieces))
    return text


@cache
def _errors() -> list[tuple[re.Pattern[str], str, str]]:
    pairs = json.loads((FOLDER / "errors.json").read_text(encoding="utf-8"))
    # What says most comes first: "Cannot {action}: {reason}." would match much.
    pairs.sort(key=lambda pair: len(_PLACE.sub("", pair["en"])), reverse=True)
    return [(_pattern(pair["en"]), pair.get("part", ""), pair["zh-CN"]) for pair in pairs]


def _pattern(template: str) -> re.Pattern[str]:
    parts = _PLACE.split(template)
    return re.compile(
        "".join(
            f"(?P<{part}>.+?)" if index % 2 else re.escape(part) for index, part in enumerate(parts)
        ),
        re.DOTALL,
    )
