"""What the page says, in English and Simplified Chinese; the browser's language decides.

The texts are in the folder words/, a file an area: {"key": {"en": "…", "zh-CN": "…"}}, where
"translate.direction" is `direction` in words/translate.json. Labels of components are translated by
gradio in the browser (`word`), sentences with figures in them on the server (`say`), and our own
JavaScript fetches all of its language's texts (`word_routes`). Texts in words/errors.json are found
by what they say, so that the rest of the package need not know of languages (`reword`).
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.i18n import I18nData
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

FOLDER = Path(__file__).parent / "words"
Language = Literal["en", "zh-CN"]
LANGUAGES: tuple[Language, ...] = ("en", "zh-CN")


def word(key: str) -> I18nData:
    """A text for a component's label, placeholder or value. Raises KeyError if there is none."""
    _texts()[key]
    return I18nData(key)


def say(language: Language, key: str, **values: Any) -> str:
    """A sentence in a language; `values` fill its {places}. Raises KeyError if there is none."""
    return _texts()[key][language].format(**values)


def language_of(request: gr.Request | Request | None) -> Language:
    """The language of whoever asks, by the Accept-Language that their browser sends."""
    accepted = request.headers.get("accept-language", "") if request else ""
    weighed = []
    for part in accepted.split(","):
        tag, _, weight = part.partition(";q=")
        try:
            weighed.append((-float(weight or 1), tag.strip().lower()))
        except ValueError:
            continue
    for _, tag in sorted(weighed, key=lambda pair: pair[0]):
        if tag.startswith("zh"):
            return "zh-CN"
        if tag.startswith("en"):
            return "en"
    return "en"


def reword(text: str, language: Language) -> str:
    """A sentence of the package in a language; as it stands when words/errors.json has it not."""
    if language == "en":
        return text
    for pattern, translation in _errors():
        if match := pattern.fullmatch(text):
            return translation.format(**match.groupdict())
    return text


def catalogue() -> gr.I18n:
    """All texts, as `launch` takes them."""
    texts = {name: {key: text[name] for key, text in _texts().items()} for name in LANGUAGES}
    return gr.I18n(**texts, zh=texts["zh-CN"])


def word_routes() -> list[Route]:
    """The route from which our JavaScript has its texts: words/en.json, words/zh-CN.json."""

    def texts(request: Request) -> Response:
        language = request.path_params["language"]
        if language not in LANGUAGES:
            return Response(status_code=404)
        answer = {key: text[language] for key, text in _texts().items()}
        return JSONResponse(answer, headers={"Cache-Control": "no-cache"})

    return [Route("/words/{language}.json", texts)]


@cache
def _texts() -> dict[str, dict[Language, str]]:
    return {
        f"{path.stem}.{key}": text
        for path in sorted(FOLDER.glob("*.json"))
        if path.stem != "errors"
        for key, text in json.loads(path.read_text(encoding="utf-8")).items()
    }


@cache
def _errors() -> list[tuple[re.Pattern[str], str]]:
    pairs = json.loads((FOLDER / "errors.json").read_text(encoding="utf-8"))
    return [(_pattern(pair["en"]), pair["zh-CN"]) for pair in pairs]


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile(
        "".join(
            f"(?P<{part}>.+?)" if index % 2 else re.escape(part) for index, part in enumerate(parts)
        ),
        re.DOTALL,
    )
