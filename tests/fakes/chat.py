"""A server that speaks the OpenAI protocol for chat completions, and does what it is told, good or bad."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Act = Callable[["_Handler"], None]


def completion(
    text: str | None, *, usage: tuple[int, int] | None = (1200, 300), **choice: Any
) -> dict[str, Any]:
    """The body of a good answer (https://platform.openai.com/docs/api-reference/chat/object)."""
    told = {"role": "assistant", "content": text}
    body: dict[str, Any] = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_800_000_000, "model": "local",
        "choices": [{"index": 0, "message": told, "finish_reason": "stop", **choice}],
    }  # fmt: skip
    if usage:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return body


def says(text: str | None, **more: Any) -> Act:
    """Answer with this text."""
    return sends(200, completion(text, **more))


def sends(status: int, body: dict[str, Any] | str, **headers: str) -> Act:
    """Answer with a status and a body."""

    def act(handler: _Handler) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return act


def fails(status: int, message: str, **headers: str) -> Act:
    """Answer with an error as OpenAI words it."""
    return sends(status, {"error": {"message": message, "type": "error", "code": None}}, **headers)


def never_ends(handler: _Handler) -> None:
    """Send a byte of the answer now and then, until the other side has had enough."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    while not handler.server.over.wait(0.05):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def hangs_up(handler: _Handler) -> None:
    """Close the connection in the middle of an answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"id": ')
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


class Chat(ThreadingHTTPServer):
    """The server.

    Attributes:
        acts: what it does with each request, the last one again and again.
        asked: the bodies of all requests; `headers` theirs.
        over: set when it is closed.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.acts: list[Act] = []
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.over = threading.Event()

    @property
    def address(self) -> str:
        """What `api_base` names."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def will(self, *acts: Act) -> None:
        """Forget what was asked, and do these things with the next requests."""
        self.acts, self.asked, self.headers = list(acts), [], []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The other side may leave whenever it likes."""


class _Handler(BaseHTTPRequestHandler):
    server: Chat
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        server.headers.append({name.lower(): value for name, value in self.headers.items()})
        server.acts[min(len(server.asked), len(server.acts)) - 1](self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has above
        """Say nothing."""


@contextmanager
def serving(acts: Sequence[Act] = ()) -> Iterator[Chat]:
    """A server at work in a thread."""
    server = Chat()
    server.will(*acts)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
