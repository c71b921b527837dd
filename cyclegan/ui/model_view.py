"""How the models of a page are shown: a panel each, as HTML, and as JSON for programs."""

import hashlib
import html
from typing import Any
from urllib.parse import urlencode

from huggingface_hub import constants

from cyclegan import hub
from cyclegan.translator import Info
from cyclegan.ui.card_view import About, about
from cyclegan.ui.models import Entry, Shelf
from cyclegan.ui.translation import arrow
from cyclegan.ui.words import Language, reword, say

ICONS = {
    "ready": '<circle cx="8" cy="8" r="5"/>',
    "waiting": '<circle cx="8" cy="8" r="4.2" class="ring"/>',
    "loading": '<path d="M8 2.5a5.5 5.5 0 1 1-5.5 5.5" class="ring"/>',
    "failed": '<path d="M8 2 15 14H1Z"/>',
}

WAYS = ("no_way", "one_way", "two_ways")


def model_json(entry: Entry) -> dict[str, Any]:
    """What programs are told about a model; of folders and checkpoints only the name."""
    known = about(entry.folder) if entry.folder else None
    info = entry.info
    return {
        "name": entry.name,
        "source": entry.source if _on_the_hub(entry) else None,
        "state": entry.state,
        "revision": info.revision if info else None,
        "labels": info.labels if info else None,
        "directions": list(entry.directions),
        "image_size": info.image_size if info else None,
        "family": known.family if known else None,
        "licence": (known.licence or None) if known else None,
        "parameters": known.parameters if known else None,
        "bytes": known.bytes if known else None,
        "reason": entry.reason or None,
    }


def panels(shelf: Shelf, language: Language) -> tuple[str, str]:
    """All models as HTML, those that visitors added last first, and the key of it in "data-key"."""
    entries = shelf.entries()
    visitors = [entry for entry in entries if entry.added and entry.folder]
    others = [entry for entry in entries if entry not in visitors]
    shown = [_panel(shelf, entry, language) for entry in [*visitors[::-1], *others]]
    if not shown:
        shown = [f'<p class="nothing">{html.escape(say(language, "models.none"))}</p>']
    body = "".join(shown)
    key = hashlib.blake2b(body.encode(), digest_size=9).hexdigest()
    return f'<div class="models" data-key="{key}">{body}</div>', key


def _panel(shelf: Shelf, entry: Entry, language: Language) -> str:
    known = about(entry.folder) if entry.folder else None
    parts = [_head(entry, language), _notes(shelf, entry, language)]
    if entry.info:
        parts.append(_facts(entry, known, language))
    body = f'<div class="about">{"".join(parts)}</div>'
    picture = _samples(entry, known, language) if entry.info else ""
    card = _card(known, language) if known else ""
    name = html.escape(entry.name, quote=True)
    kind = "model" if picture else "model plain"
    return f'<article class="{kind}" data-model="{name}">{picture}{body}{card}</article>'


def _head(entry: Entry, language: Language) -> str:
    state = say(language, f"models.{entry.state}")
    usable = entry.directions and entry.state != "failed"
    button = _button("use", entry, say(language, "models.use"), "primary") if usable else ""
    if entry.generates and entry.state != "failed":
        query = html.escape(urlencode({"tab": "generate", "model": entry.name}), quote=True)
        button += f'<a class="go" href="?{query}">{say(language, "models.generate")}</a>'
    actions = f'<div class="actions">{button}</div>' if button else ""
    labels = f'<p class="domains">{html.escape(_domains(entry.info))}</p>' if entry.info else ""
    icon = f'<svg viewBox="0 0 16 16" aria-hidden="true">{ICONS[entry.state]}</svg>'
    pill = f'<span class="state {entry.state}">{icon}{html.escape(state)}</span>'
    return f"<header><div><h2>{html.escape(entry.name)}</h2>{labels}{pill}</div>{actions}</header>"


def _domains(info: Info) -> str:
    """What it makes of what: "apple ⇄ orange", "line art → emoji", or of nothing: "emoji"."""
    if not info.directions:
        return info.labels["a"]
    if len(info.directions) == 2:
        return f"{info.labels['a']} ⇄ {info.labels['b']}"
    return arrow(info.labels, info.directions[0])


def _notes(shelf: Shelf, entry: Entry, language: Language) -> str:
    """What somebody may want to do something about."""
    notes = ""
    if entry.state == "failed":
        reason = html.escape(reword(entry.reason, language))
        retry = _button("reload", entry, say(language, "models.retry"))
        notes += f'<div class="note failed"><p>{reason}</p>{retry}</div>'
    if newer := shelf.newer(entry.name):
        words = html.escape(say(language, "models.newer", revision=newer[:7]))
        button = _button("reload", entry, say(language, "models.reload"))
        notes += f'<div class="note newer"><p>{words}</p>{button}</div>'
    if entry.added:
        key = "models.by_visitor" if entry.folder else "models.checkpoint"
        notes += f'<p class="aside">{html.escape(say(language, key))}</p>'
    return notes


def _facts(entry: Entry, known: About | None, language: Language) -> str:
    info = entry.info
    assert info
    facts: list[tuple[str, str]] = [("source", _source(entry, language))]
    if info.revision:
        facts.append(("revision", f"<code>{info.revision[:7]}</code>"))
    if known:
        count, myriads = f"{known.parameters / 1e6:,.1f}", f"{known.parameters / 1e4:,.0f}"
        million = say(language, "models.million", count=count, myriads=myriads)
        licence = known.licence or say(language, "models.no_licence")
        facts += [
            ("licence", html.escape(licence)),
            ("family", html.escape(known.family)),
            ("parameters", html.escape(million)),
            ("size", f"{known.bytes / 1e6:,.1f} MB"),
        ]
    way = WAYS[len(info.directions)]
    facts += [
        ("ways", html.escape(say(language, f"models.{way}"))),
        ("image_size", f"{info.image_size} × {info.image_size}"),
    ]
    if known and known.step:
        facts.append(("steps", f"{known.step:,}"))
    rows = (f"<div><dt>{html.escape(say(language, f'models.{key}'))}</dt><dd>{text}</dd></div>"
            for key, text in facts)  # fmt: skip
    return f"<dl>{''.join(rows)}</dl>"


def _source(entry: Entry, language: Language) -> str:
    if not _on_the_hub(entry):
        kind = "models.folder" if entry.folder else "models.run"
        return html.escape(say(language, kind))
    repo = hub.parse_name(entry.source).repo_id
    address = html.escape(f"{constants.ENDPOINT}/{repo}", quote=True)
    source = html.escape(entry.source)
    return f'<a href="{address}" target="_blank" rel="noopener noreferrer">{source}</a>'


def _samples(entry: Entry, known: About | None, language: Language) -> str:
    info = entry.info
    assert info
    if not known or not known.sheet:
        return ""
    # Relative to the page, wherever a proxy has put it; the stamp lets browsers keep it.
    query = html.escape(urlencode({"name": entry.name, "v": known.sheet}), quote=True)
    address = f"models/samples.webp?{query}"
    labels = {"name": entry.name, "a": info.labels["a"], "b": info.labels["b"]}
    way = WAYS[len(info.directions)]
    alt = html.escape(say(language, f"models.samples_{way}", **labels), quote=True)
    width, height = known.sheet_size
    larger = html.escape(say(language, "models.larger"), quote=True)
    return (
        f'<a class="samples" href="{address}" target="_blank" title="{larger}">'
        f'<img src="{address}" alt="{alt}" width="{width}" height="{height}" loading="lazy"></a>'
    )


def _card(known: About, language: Language) -> str:
    chosen = "".join(
        f"<section><h3>{html.escape(title)}</h3>{body}</section>" for title, body in known.chosen
    )
    rest = known.lead + "".join(
        f"<h3>{html.escape(title)}</h3>{body}" for title, body in known.rest
    )
    if not chosen and not rest.strip():
        return f'<p class="aside">{html.escape(say(language, "models.no_card"))}</p>'
    folded = html.escape(say(language, "models.card"))
    rest = f"<details><summary>{folded}</summary><div>{rest}</div></details>" if rest else ""
    return f'<div class="card">{chosen}{rest}</div>'


def _button(action: str, entry: Entry, words: str, kind: str = "") -> str:
    name = html.escape(entry.name, quote=True)
    label = html.escape(f"{words}: {entry.name}", quote=True)
    return (
        f'<button type="button" class="{kind}" data-do="{action}" data-name="{name}" '
        f'aria-label="{label}">{html.escape(words)}</button>'
    )


def _on_the_hub(entry: Entry) -> bool:
    return bool(entry.info and entry.info.revision)
