"""What stands before every route of the page, gradio's and ours: login, limits, closed doors."""

from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The login page and what it is made of; `startup-events` is what gradio asks itself at the start.
OPEN = {
    *("/", "/login", "/login/", "/logout", "/theme.css", "/favicon.ico", "/robots.txt"),
    *("/manifest.json", "/gradio_api/theme.css", "/gradio_api/startup-events"),
}
OPEN_BELOW = ("/assets/", "/static/", "/svelte/")
# Doors of gradio that this page does not use: fetching from elsewhere for a visitor, running ffmpeg
# on what a stranger sends, and keeping a visitor's fields for everybody who has the link.
CLOSED = (
    *("/gradio_api/proxy=", "/gradio_api/file=http:", "/gradio_api/file=https:"),
    *("/gradio_api/file/http:", "/gradio_api/file/https:"),
    *("/gradio_api/process_recording", "/gradio_api/deep_link", "/gradio_api/dev/"),
    "/monitoring",
)
SPARE = 1_000_000
"""Bytes that a request may have beyond its largest file."""


class Guard:
    """ASGI middleware around all routes of the page.

    Closed doors answer 404. What is too large answers 413. With a login, everything but the login
    page answers 401 to whoever has no session of gradio's, and 403 to the pages of other sites, to
    which gradio would lend the session.

    Args:
        app: what it guards.
        login: whether a login is asked for.
        max_file_size: bytes of the largest file. In JSON a file takes a third more; a form may
            have several files, up to `max_form_size` bytes.
        max_form_size: bytes of a form.
    """

    def __init__(self, app: ASGIApp, login: bool, max_file_size: int, max_form_size: int):
        self.app = app
        self.login = login
        self.max_json = max_file_size * 4 // 3 + SPARE
        self.max_form = max_form_size + SPARE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            # Nothing here speaks WebSocket.
            await send({"type": "websocket.close"})
            return
        request = Request(scope)
        if refusal := await self._refusal(request):
            await refusal(scope, receive, send)
            return
        form = request.headers.get("content-type", "").startswith("multipart/form-data")
        limited = _counted(receive, self.max_form if form else self.max_json)
        try:
            await self.app(scope, limited, send)
        except ClientDisconnect:
            # Gone in the middle of an upload, for another photo perhaps: no answer is awaited.
            return
        except RuntimeError as error:
            # Gradio refuses a session that it does not know in the middle of its answer.
            if not isinstance(error.__cause__, HTTPException):
                raise
            await send({"type": "http.response.body", "body": b""})

    async def _refusal(self, request: Request) -> PlainTextResponse | None:
        path = route_path(request.scope)
        if path.startswith(CLOSED):
            return PlainTextResponse("Not found", 404)
        if not self.login or path in OPEN or path.startswith(OPEN_BELOW):
            return None
        if not await self._logged_in(request.scope):
            return PlainTextResponse("Log in first.", 401)
        if _from_elsewhere(request):
            return PlainTextResponse("Another site may not ask this page.", 403)
        return None

    async def _logged_in(self, scope: Scope) -> bool:
        """Whether gradio knows the session, by its own word."""
        status = 0

        async def nothing() -> Message:
            return {"type": "http.request", "body": b""}

        async def heard(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)

        asked = {"path": "/gradio_api/login_check", "root_path": "", "method": "GET"}
        await self.app({**scope, **asked}, nothing, heard)
        return status == 200


def _counted(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            # Raised where the body is read, so that the app answers as with its own refusals.
            raise HTTPException(413, f"This request is larger than {limit:,} bytes.")
        return message

    return counted


def route_path(scope: Scope) -> str:
    """The path as the routes see it, without the prefix that the page is served under."""
    path, prefix = scope["path"], scope.get("root_path", "")
    return path.removeprefix(prefix) if path == prefix or path.startswith(prefix + "/") else path


def _from_elsewhere(request: Request) -> bool:
    origin = request.headers.get("origin")
    hosts = (request.headers.get("host"), request.headers.get("x-forwarded-host"))
    return origin is not None and urlsplit(origin).netloc not in hosts
