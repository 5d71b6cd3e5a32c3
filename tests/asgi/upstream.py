"""Applications behind the middleware: one that forwards, one that makes its answer itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import httpx2  # noqa: TC002 - the tests run with it

from tokenmeter.asgi.incoming import App, Receive, Scope, Send

HOPS = {b"content-length", b"transfer-encoding", b"host"}


async def read_all(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def reply(
    send: Send,
    status: int,
    headers: Sequence[tuple[bytes, bytes]],
    chunks: Sequence[bytes] | AsyncIterator[bytes],
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    if isinstance(chunks, AsyncIterator):
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    else:
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def forwarding(client: httpx2.AsyncClient, url: str) -> App:
    """An application that asks the provider, with a client that may be tapped."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name not in HOPS]
        request = client.build_request(
            scope["method"], url, headers=headers, content=await read_all(receive)
        )
        answer = await client.send(request, stream=True)
        try:
            kept = [(n, v) for n, v in answer.headers.raw if n.lower() != b"transfer-encoding"]
            await reply(send, answer.status_code, kept, answer.aiter_raw())
        finally:
            await answer.aclose()

    return app


def answering(
    status: int, headers: dict[str, str], chunks: Sequence[bytes], *, reads: bool = True
) -> App:
    """An application whose upstream call nobody can see: its answer is just there."""
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        if reads:
            await read_all(receive)
        await reply(send, status, raw, chunks)

    return app
