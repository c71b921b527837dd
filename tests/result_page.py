"""Results on the page as its client asks for them, over HTTP."""

import io
import itertools
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from conftest import draw_photo
from page_server import PageServer, http
from PIL import ExifTags, Image, ImageCms

WIDE = (2000, 1200)
"""Larger than a preview, and upright once it is turned."""


def photo_file(path: Path, size: tuple[int, int] = WIDE) -> Path:
    """A photo as telephones make them: on its side, and full of what is nobody's business."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.ImageDescription] = "SECRET description"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSDateStamp] = "SECRET place"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    texts = {"comment": b"SECRET comment", "xmp": b"<x>SECRET xmp</x>", "icc_profile": profile}
    draw_photo("a", 0, size).save(path, quality=92, exif=exif, **texts)
    assert path.read_bytes().count(b"SECRET") == 4
    return path


def upload(server: PageServer, path: Path) -> str:
    head = f'--line\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'
    body = head.encode() + path.read_bytes() + b"\r\n--line--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=line"}
    request = urllib.request.Request(server.url + "/gradio_api/upload", body, headers)
    with http.open(request, timeout=60) as answer:
        return json.load(answer)[0]


NUMBERS = itertools.count()


def translated(
    server: PageServer, path: Path, model: str = "painter", name: str = ""
) -> dict[str, Any]:
    """Have the page translate a file there and back as its client does: the facts about it."""
    source = {"path": upload(server, path), "name": name or path.name}
    facts = answered(server, join(server, "translate", wish(source, model)))
    if not facts["two_ways"]:
        return facts
    assert not facts["recovered"]
    return answered(server, join(server, "translate_back", {"id": 2, "token": facts["token"]}))


def wish(source: dict[str, str], model: str = "painter", detail: float = 0) -> dict[str, Any]:
    """What the client says when it wants a translation."""
    return {"id": 1, "source": source, "model": model, "direction": "a2b", "detail": detail}


def join(
    server: PageServer, event: str, asked: Any, session: str = "", route: str = "queue/join"
) -> str:
    """Queue up for an event of the stage; the session in which it is answered."""
    config = json.loads(server.get("/config"))
    # The Generate tab, which has events of the same names, comes later.
    found = next(d for d in config["dependencies"] if d["targets"][0][1] == event)
    session = session or f"results{next(NUMBERS)}"
    request = {"fn_index": found["id"], "session_hash": session, "event_data": asked}
    data = [None for _ in found["inputs"]]
    server.post(f"/gradio_api/{route}", {"data": data, **request})
    return session


def answered(server: PageServer, session: str) -> dict[str, Any]:
    """The facts that the last answer in a session holds."""
    stream = server.get(f"/gradio_api/queue/data?session_hash={session}").decode()
    said = [json.loads(line) for line in re.findall("data: (.*)", stream)]
    (last,) = [answer for answer in said if answer["msg"] == "process_completed"]
    reply = json.loads(last["output"]["data"][0])
    assert reply["state"] == "done", reply
    return reply["facts"]


def ask(
    server: PageServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, Any, bytes]:
    """What a request is answered: status, headers, body."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(server.url + path, headers=fields, method=method)
    try:
        with http.open(request, timeout=120) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def place(facts: dict[str, Any]) -> str:
    return f"/studio/results/{facts['token']}"


def download(server: PageServer, facts: dict[str, Any], what: str) -> bytes:
    """What a link of the page downloads; `what` is "fake?format=png"."""
    status, _, body = ask(server, f"{place(facts)}/download/{what}")
    assert status == 200, body
    return body


def file_name(headers: Any) -> str:
    """What a browser calls a download."""
    kind, plain, exact = headers["Content-Disposition"].split("; ")
    assert kind == "attachment"
    assert re.fullmatch(r'filename="[\w.-]+"', plain, re.ASCII)
    return urllib.parse.unquote(exact.removeprefix("filename*=UTF-8''"), errors="strict")


def look(content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content)) as image:
        return image.convert("RGB")


def refused(answer: tuple[int, Any, bytes]) -> tuple[int, str]:
    status, _, body = answer
    return status, json.loads(body)["error"]
