"""The texts of the page: whole in both languages, each used, and what the browser decides."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from page_server import ROOT

from cyclegan.ui.words import FOLDER, LANGUAGES, language_of, reword, say

UI = FOLDER.parent
AREAS = {path.stem: json.loads(path.read_text("utf-8")) for path in FOLDER.glob("*.json")}
ERRORS = AREAS.pop("errors")
TEXTS = {f"{area}.{key}": text for area, texts in AREAS.items() for key, text in texts.items()}
PLACE = re.compile(r"\{(\w+)[^}]*\}")
# Names, file formats and what is typed as it stands are the same in every language.
NAMES = re.compile(
    r"\{[^}]*\}|--[\w-]+( [\w.]+)?|`\w+`|[A-Z]+_[A-Z_]+|USER/NAME(\[@REVISION\])?|@REVISION"
    r"|\b(CycleGAN|DCGAN|BicycleGAN|Hugging Face|Hub|FID|KID|Fréchet|API|MCP|GPU|CPU|MB|WebP|PNG"
    r"|JPEG|GIF|BMP|TIFF|HEIC|AVIF|ZIP|zip|trainA|trainB|README\.md|hf auth login"
    r"|FOLDER|USER|NAME|Space|https|iPhone|cyclegan)\b"
)
# What visitors meet of the package. The texts of command lines are in English.
REACHED = (
    "archive checkpoint domains generator guests hub hub_runs images native recipe run_source runs"
    " translator watching weights"
).split()
FOR_PROGRAMMERS = ("ValueError", "KeyError", "TypeError", "IndexError", "SafetensorError")
# Of these files, what only people at a command line or programmers read.
UNSEEN = (
    r"Pictures have 3 channels|The direction is .*; these weights know"
    r"|Port .* is taken|The page cannot be served"
    r"|--device .* is not to be had|--backend openvino|--mcp (needs|has no login)"
    r"|.* holds no change, or is damaged\.|⟨0⟩ does not exist\."
)


def english(text: str) -> list[str]:
    """The English words in a Chinese text."""
    return re.findall(r"[A-Za-z]{2,}", NAMES.sub(" ", text))


@pytest.mark.parametrize("key", TEXTS)
def test_a_text_is_there_in_both_languages_and_says_the_same(key: str) -> None:
    text = TEXTS[key]
    assert set(text) == set(LANGUAGES)
    forms = [form for language in LANGUAGES for form in text[language].split("|")]
    # Chinese counts in ten thousands.
    places = [set(PLACE.findall(form.replace("{myriads}", "{count}"))) for form in forms]
    if "|" in text["en"]:
        # "an alarm|{n} alarms"
        places = [found - {"n"} for found in places]
    assert all(found == places[0] for found in places), forms
    assert all(forms)
    assert english(text["zh-CN"]) == []
    assert not re.search(r"[\u4e00-\u9fff]", text["en"])
    # Marks of the width of letters are foreign between characters.
    assert not re.search(r"[\u4e00-\u9fff][,;:!?()]|\.\.\.| …", text["zh-CN"]), text["zh-CN"]


def test_every_text_is_used_and_every_text_used_is_there() -> None:
    source = "".join(
        path.read_text("utf-8")
        for path in [*UI.glob("**/*.py"), *UI.glob("**/*.js"), *UI.parent.glob("*.py")]
    )
    areas = "|".join(AREAS)
    found = re.findall(rf"[\"'`](({areas})\.\w*)([\"'`]|\$?\{{)", source)
    files = (".css", ".json", ".js", ".html")
    used = {key for key, _, end in found if end in "\"'`" and not key.endswith(files)}
    begun = {key for key, _, end in found if end not in "\"'`"}
    assert used - set(TEXTS) == set()
    assert [start for start in begun if not any(key.startswith(start) for key in TEXTS)] == []
    # Gradio asks for what is called common.
    begun.add("common.")
    assert {key for key in TEXTS if not key.startswith(tuple(begun))} - used == set()


def test_one_and_many() -> None:
    said = [say("en", "training.runs_count", n=n) for n in (0, 1, 2)]
    assert said == ["0 runs", "1 run", "2 runs"]
    assert say("zh-CN", "training.runs_count", n=1) == "1 次训练"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("*", "en"),
        ("en-US,en;q=0.9", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("zh", "zh-CN"),
        ("ZH-hans-cn", "zh-CN"),
        ("zh-SG,en;q=0.5", "zh-CN"),
        ("zh-TW,zh-HK;q=0.8", "zh-CN"),
        ("fr-FR,fr;q=0.9", "en"),
        ("fr-FR, zh-CN; q=0.7, en; q=0.3", "zh-CN"),
        ("en;q=0.3,zh;q=0.4", "zh-CN"),
        ("en-GB,zh-CN", "en"),
        ("zh;q=0,de", "en"),
        ("zha,en", "en"),
        ("zh;q=nan,zh;q=, ;;,", "en"),
    ],
)
def test_the_language_is_the_first_of_ours_that_the_browser_accepts(
    accepted: str | None, language: str
) -> None:
    headers = {} if accepted is None else {"accept-language": accepted}
    request: Any = SimpleNamespace(headers=headers)
    assert language_of(request) == language


def test_who_asks_without_a_browser_is_answered_in_english() -> None:
    assert language_of(None) == "en"


def _filled(node: ast.AST) -> str | None:
    """A string with ⟨0⟩, ⟨1⟩ … in the places of an f-string or of a format."""
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        parts = re.split(r"(\{\w+\})", node.value)
        parts = [None if part.startswith("{") and part.endswith("}") else part for part in parts]
    else:
        return None
    places = iter(range(len(parts)))
    return "".join(f"⟨{next(places)}⟩" if part is None else str(part) for part in parts)


def _sentences(path: Path) -> Iterator[str]:
    """What a file may say: strings that read like sentences, and all that its errors say."""
    tree = ast.parse(path.read_text("utf-8"))
    raised: set[int] = set()
    passed: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Raise(exc=ast.Call(func=kind, args=[said, *_])):
                if ast.unparse(kind).rpartition(".")[2] not in FOR_PROGRAMMERS:
                    raised.add(id(said))
            case ast.Expr(value=ast.Constant() as docstring):
                passed.add(id(docstring))
            case ast.Call(func=ast.Attribute(value=ast.Name(id="logger"))):
                passed |= {id(inner) for inner in ast.walk(node)}
            case ast.JoinedStr(values=parts):
                passed |= {id(part) for part in parts}
    for node in ast.walk(tree):
        text = None if id(node) in passed else _filled(node)
        if text and (id(node) in raised or re.fullmatch(r"[A-Z⟨][^\n]* [^\n]*\.", text)):
            yield text


FILES = [ROOT / "cyclegan" / f"{name}.py" for name in REACHED] + sorted(UI.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_sentence_that_visitors_meet_has_its_chinese(path: Path) -> None:
    missing = []
    for text in _sentences(path):
        if re.match(UNSEEN, text):
            continue
        chinese = reword(text, "zh-CN")
        places = sorted(re.findall("⟨.⟩", text))
        if english(chinese) or sorted(re.findall("⟨.⟩", chinese)) != places:
            missing.append((text, chinese))
    assert missing == []


def test_entries_of_errors_say_the_same_in_both_languages() -> None:
    for pair in ERRORS:
        assert set(PLACE.findall(pair["en"])) == set(PLACE.findall(pair["zh-CN"])), pair
        assert english(pair["zh-CN"]) == [], pair
    sentences = [pair["en"] for pair in ERRORS]
    assert len(set(sentences)) == len(sentences)


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        (
            "a b.jpg is empty (0 bytes); choose another file.",
            "a b.jpg 是空文件（0 字节）；请选择其他文件。",
        ),
        # One sentence inside of another, and a name that reads like a part of one.
        (
            "Cannot pull a/b: no connection to https://hub; check the network.",
            "无法拉取 a/b：无法连接 https://hub；请检查网络。",
        ),
        (
            "x.heic is HEIC, which is not read here; save it as JPEG (an iPhone takes JPEG with "
            "Settings > Camera > Formats > Most Compatible).",
            "x.heic 是 HEIC 格式，此处无法读取；请另存为 JPEG（iPhone 可在“设置 > 相机 > 格式”中"
            "选择“兼容性最佳”，直接拍摄 JPEG）。",
        ),
        ("pull me.jpg is no picture.", "pull me.jpg 不是图片。"),
        ("pull me", "pull me"),
        ("Nobody has thought of this.", "Nobody has thought of this."),
    ],
)
def test_sentences_are_found_by_what_they_say(text: str, chinese: str) -> None:
    assert reword(text, "zh-CN") == chinese
    assert reword(text, "en") == text
