"""Drive an ASGI application message by message, as a server and an impatient client would."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from tokenmeter.asgi.incoming import App, Message, Scope

PEER = ("203.0.113.7", 4711)


@dataclass
class Answered:
    """What the client got."""

    messages: list[Message] = field(default_factory=list[Message])

    @property
    def status(self) -> int:
        status: int = self.messages[0]["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        raw: list[tuple[bytes, bytes]] = self.messages[0]["headers"]
        return {name.decode().lower(): value.decode() for name, value in raw}

    @property
    def chunks(self) -> list[bytes]:
        return [m["body"] for m in self.messages[1:] if m.get("body")]

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)


def scope_of(
    method: str, url: str, headers: Sequence[tuple[str, str]] = (), peer: Any = PEER
) -> Scope:
    parts = urlsplit(url)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "client": peer,
        "server": ("gateway", 80),
    }


async def ask(
    app: App,
    scope: Scope,
    body: bytes | Sequence[bytes] = b"",
    *,
    leaves_after: int | None = None,
) -> Answered:
    """Send a request and take the answer; the client leaves after so many body messages."""
    answered, left = Answered(), asyncio.Event()
    parts = [body] if isinstance(body, bytes) else list(body)
    requests: list[Message] = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)}
        for number, part in enumerate(parts, 1)
    ]

    async def receive() -> Message:
        if requests:
            return requests.pop(0)
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if left.is_set() and leaves_after is not None:
            raise OSError("the client is gone")  # as servers of spec version 2.4 do
        answered.messages.append(message)
        bodies = len(answered.messages) - 1
        if leaves_after is not None and bodies >= leaves_after:
            left.set()
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            left.set()
        await asyncio.sleep(0)

    await app(scope, receive, send)
    return answered
