"""A reverse proxy that serves a page under a prefix, as nginx does before a real one."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# They belong to a connection, not to what is sent over it.
HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}


@contextmanager
def proxied(url: str, prefix: str, strip: bool) -> Iterator[str]:
    """Serve what is at `url` under a prefix; yields the new address, without a slash at its end.

    With `strip`, the server behind sees paths without the prefix. What is not below the prefix
    is 404, so that a page that leaves it is found out.
    """
    behind = urlsplit(url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            path = self.path.removeprefix(prefix)
            if path == self.path or not path.startswith("/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection(behind, timeout=60)
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in HOP
            }
            connection.request(self.command, path if strip else self.path, body, headers)
            answer = connection.getresponse()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            # As it comes: events of a queue do not wait for each other.
            with suppress(OSError, http.client.HTTPException):
                while chunk := answer.read1(65536):
                    self.wfile.write(chunk)
                    self.wfile.flush()
            self.close_connection = True

        do_GET = do_POST = do_HEAD = do_OPTIONS = forward

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{prefix}"
    server.shutdown()
    server.server_close()
