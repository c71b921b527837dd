"""The Batch tab, and the endpoint /batch: many photos and zips in, one zip out."""

import html
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import gradio as gr
from gradio import component_meta
from gradio.data_classes import FileData, ListFiles

from cyclegan.native import MAX_PIXELS
from cyclegan.ui.batch_files import MAX_AGE, MAX_BYTES, MAX_PICTURES, Given
from cyclegan.ui.batch_work import HEIGHT, THUMBNAILS, Batch, Row, Wish, work
from cyclegan.ui.models import Shelf
from cyclegan.ui.run_view import duration
from cyclegan.ui.translation import Step, arrow, failure
from cyclegan.ui.words import Language, language_of, reword, say, word

AT_ONCE = 4
"""Batches that take turns; later ones wait until one of them is through."""
NAMED = 50
"""Pictures that failed which the page names; the report in the zip has all."""
SIZES = {
    "count": MAX_PICTURES,
    "megabytes": MAX_BYTES // 1_000_000,
    "megapixels": MAX_PIXELS // 1_000_000,
    "hours": round(MAX_AGE / 3600),
}

# See ui/photo.py: gradio would write a file beside this one.
with mock.patch.object(component_meta, "create_or_modify_pyi", create=True):

    class Files(gr.File):
        """gr.File that tells what visitors call their files, and leaves no empty ones behind."""

        # The browser's half stays the stock one.
        is_template = True

        def preprocess(self, payload: ListFiles | FileData | None) -> Any:
            """The files as a list of `Given`."""
            if payload is None:
                return []
            files = payload.root if isinstance(payload, ListFiles) else [payload]
            return [
                Given(Path(file.path), file.orig_name or Path(file.path).name) for file in files
            ]


@dataclass(eq=False)
class Visit:
    """A visitor of the tab, and the batch that they have under way, if any."""

    batch: Batch | None = None


def batch_tab(shelf: Shelf, step: Step) -> None:
    """Fill the Batch tab, and define /batch.

    Args:
        shelf: where the models are.
        step: what runs a network; see `translation.make_step`.
    """
    visit = gr.State(Visit())
    with gr.Row(elem_id="batch"):
        with gr.Column(elem_id="batch-give", min_width=0):
            files = Files(
                label=word("batch.files"),
                file_count="multiple",
                height=220,
                elem_id="batch-files",
            )
            limits = gr.HTML(elem_id="batch-limits")
            model = gr.Dropdown(
                [],
                label=word("batch.model"),
                filterable=False,
                visible=False,
                elem_id="batch-model",
            )
            direction = gr.Radio(
                [("A → B", "a2b")],
                value="a2b",
                label=word("batch.direction"),
                visible=False,
                elem_id="batch-direction",
            )
            recovered = gr.Checkbox(
                False, label=word("batch.recovered"), container=False, elem_id="batch-recovered"
            )
            start = gr.Button(word("batch.start"), variant="primary", elem_id="batch-start")
            stop = gr.Button(word("batch.stop"), visible=False, elem_id="batch-stop")
        with gr.Column(elem_id="batch-get", min_width=0):
            status = gr.HTML(word("batch.empty"), elem_id="batch-status")
            download = gr.DownloadButton(
                word("batch.download"), variant="primary", visible=False, elem_id="batch-download"
            )
            problems = gr.HTML(elem_id="batch-problems")
            pictures = gr.HTML(elem_id="batch-pictures")
    timer = gr.Timer(2, active=False)
    results = [status, pictures, problems, download, start, stop]

    def shown(batch: Batch, line: str, running: bool, language: Language) -> dict[Any, Any]:
        archive = batch.archive
        size = _size(archive.stat().st_size) if archive else ""
        return {
            status: line,
            pictures: _pictures(batch, language),
            problems: _problems(batch, language),
            download: gr.DownloadButton(
                say(language, "batch.download_named", n=batch.translated, size=size),
                value=str(archive) if archive else None,
                visible=archive is not None,
            ),
            start: gr.Button(visible=not running),
            stop: gr.Button(visible=running),
        }

    def refresh(chosen: str | None, way: str | None, request: gr.Request) -> dict[Any, Any]:
        """Offer the models there are, and what they translate."""
        language = language_of(request)
        ready = {entry.name: entry for entry in shelf.translating()}
        name = chosen if chosen in ready else next(iter(ready), None)
        ways = [(say(language, "batch.auto"), "auto")]
        if name and (info := ready[name].info):
            ways += [(arrow(info.labels, known), known) for known in ready[name].directions]
        # Where there is one way, there is nothing to choose, nor to find out.
        one_way = len(ways) < 3
        ways = ways[1:] if one_way else ways
        values = [value for _, value in ways]
        lines = [say(language, "batch.limits", **SIZES)]
        lines += [say(language, "batch.single", way=only) for only, _ in ways if one_way]
        return {
            limits: "".join(f"<p>{html.escape(line)}</p>" for line in lines),
            model: gr.Dropdown(choices=[*ready], value=name, visible=len(ready) > 1),
            direction: gr.Radio(
                choices=ways,
                value=way if way in values and chosen else next(iter(values), None),
                visible=not one_way,
            ),
            recovered: gr.Checkbox(False, visible=False) if one_way else gr.Checkbox(visible=True),
            timer: gr.Timer(active=shelf.loading),
        }

    def run(
        here: Visit,
        given: list[Given],
        name: str | None,
        way: str | None,
        back: bool,
        request: gr.Request,
    ) -> Iterator[dict[Any, Any]]:
        language, batch = language_of(request), Batch()
        here.batch = batch
        try:
            for _ in work(
                batch, given, Wish(name or "", way or "auto", back), shelf, step, language
            ):
                yield shown(batch, _progress(batch, language), True, language)
            yield shown(batch, _ended(batch, language), False, language)
        except Exception as error:
            failed = _line("failed", reword(failure(error), language))
            yield shown(Batch(), failed, False, language)
        finally:
            here.batch = None

    def end(here: Visit, request: gr.Request) -> tuple[str, Any]:
        if here.batch:
            here.batch.stopped = True
        text = say(language_of(request), "batch.stopping")
        return _line("working", text), gr.Button(interactive=False)

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    quick: dict[str, Any] = {**quiet, "queue": False}
    controls = [limits, model, direction, recovered, timer]
    gr.on(None, refresh, [model, direction], controls, **quick)
    gr.on([timer.tick, model.focus], refresh, [model, direction], controls, **quick)
    start.click(
        run,
        [visit, files, model, direction, recovered],
        results,
        concurrency_id="batch",
        concurrency_limit=AT_ONCE,
        **quiet,
    )
    stop.click(end, visit, [status, stop], **quick)
    _endpoint(shelf, step)


def _endpoint(shelf: Shelf, step: Step) -> None:
    """Define /batch for programs."""

    def batch(
        files: list[Given],
        weights: str = "",
        direction: str = "auto",
        recovered: bool = False,
        *,
        request: gr.Request | None = None,
    ) -> Iterator[tuple[str | None, dict[str, Any]]]:
        """Translate many photos. The report comes again with every photo, the zip with the last.

        Args:
            files: photos, and zips of photos, at most 200 and 200 MB together.
            weights: the name of a model on this page; empty for the first one.
            direction: "a2b", "b2a", or "auto" to go by what each photo shows.
            recovered: whether each photo is translated back as well.
        """
        language, done = language_of(request), Batch()
        try:
            wish = Wish(weights, direction, recovered)
            for _ in work(done, files, wish, shelf, step, language):
                yield str(done.archive) if done.archive else None, done.report()
        except Exception as error:
            sentence = reword(failure(error), language)
            raise gr.Error(sentence, print_exception=False) from error

    with gr.Column(visible=False):
        gr.Button().click(
            batch,
            [
                Files(label="files", file_count="multiple"),
                gr.Textbox("", label="weights"),
                gr.Textbox("auto", label="direction"),
                gr.Checkbox(False, label="recovered"),
            ],
            [gr.File(label="zip"), gr.JSON(label="report")],
            api_name="batch",
            concurrency_id="batch",
            concurrency_limit=AT_ONCE,
        )


def _progress(batch: Batch, language: Language) -> str:
    if not batch.current:
        return _line("working", say(language, "batch.packing"))
    text = say(language, "batch.progress", at=batch.done + 1, total=batch.total, name=batch.current)
    if batch.done:
        left = duration((batch.total - batch.done) * batch.seconds / batch.done, language)
        text += " · " + say(language, "batch.left", left=left)
    label = html.escape(say(language, "batch.bar"))
    bar = f'<progress max="{batch.total}" value="{batch.done}" aria-label="{label}"></progress>'
    # Not announced anew with every photo.
    return f'<p class="line working">{html.escape(text)}</p>{bar}'


def _ended(batch: Batch, language: Language) -> str:
    failed = sum(not row.result for row in batch.rows)
    if not batch.translated:
        key = "stopped_early" if batch.stopped and not failed else "none"
        return _line("failed" if failed else "done", say(language, f"batch.{key}", n=failed))
    key = "stopped" if batch.stopped else "done"
    took = duration(batch.seconds, language)
    text = say(language, f"batch.{key}", n=batch.translated, total=batch.total, took=took)
    if failed:
        text += " " + say(language, "batch.failed", n=failed)
    return _line("done", text)


def _pictures(batch: Batch, language: Language) -> str:
    figures = "".join(
        f'<figure><img src="{address}" height="{HEIGHT}" alt="{_alt(name, language)}">'
        f"<figcaption>{html.escape(name)}</figcaption></figure>"
        for name, address in batch.thumbnails
    )
    more = batch.translated - THUMBNAILS
    if more > 0:
        figures += f"<p>{html.escape(say(language, 'batch.more', n=more))}</p>"
    return f"<div>{figures}</div>" if figures else ""


def _alt(name: str, language: Language) -> str:
    return html.escape(say(language, "batch.pair", name=name))


def _problems(batch: Batch, language: Language) -> str:
    rows = [row for row in batch.rows if row.note]
    if not rows:
        return ""
    lines = [f"<li>{_named(row)}</li>" for row in rows]
    if len(lines) > NAMED:
        lines[NAMED:] = [f"<li>{say(language, 'batch.more_named', n=len(rows) - NAMED)}</li>"]
    head = html.escape(say(language, "batch.problems"))
    return f"<h3>{head}</h3><ul>{''.join(lines)}</ul>"


def _named(row: Row) -> str:
    """The note of a row, which may begin with the picture's name itself."""
    note = html.escape(row.note)
    return note if row.note.startswith(row.name) else f"<b>{html.escape(row.name)}</b> {note}"


def _line(kind: str, text: str) -> str:
    """Say how things stand; kind is "working", "done" or "failed"."""
    return f'<p class="line {kind}" role="status">{html.escape(text)}</p>'


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{max(1, round(count / 1000))} kB"
