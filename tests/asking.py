"""Plain HTTP against a page, as programs and attackers speak it."""

import base64
import io
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from conftest import draw_photo
from page_server import http

META = {"_type": "gradio.FileData"}


def png(size: tuple[int, int] = (60, 44)) -> bytes:
    buffer = io.BytesIO()
    draw_photo("a", 0, size).save(buffer, "PNG")
    return buffer.getvalue()


def data_url(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


def ask(
    url: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers in lower case and body of any answer; redirects count as answers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, named, method=method)
    try:
        with http.open(request, timeout=30) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


def log_in(url: str, user: str, password: str) -> str:
    """The cookie of a session. Raises KeyError where the login is refused."""
    form = urllib.parse.urlencode({"username": user, "password": password}).encode()
    _, headers, _ = ask(url + "/login", "POST", form)
    return headers["set-cookie"].split(";")[0]


def upload(url: str, name: str, content: bytes, **headers: str) -> tuple[int, Any]:
    """Upload a file; its path on the server, or what was said instead."""
    quoted = name.replace("\\", "\\\\").replace('"', "%22")
    start = f'--line\r\nContent-Disposition: form-data; name="files"; filename="{quoted}"\r\n\r\n'
    body = start.encode() + content + b"\r\n--line--\r\n"
    kind = "multipart/form-data; boundary=line"
    code, _, answer = ask(url + "/gradio_api/upload", "POST", body, Content_Type=kind, **headers)
    return code, json.loads(answer)[0] if code == 200 else answer.decode()
