"""
Read an aborted stream to its end in the background, for the exact usage (on_abort="drain").

The provider goes on generating, and billing, whether or not anybody reads; with these limits,
reading on is cheaper than guessing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from tokenmeter.capture.exchange import Exchange

if TYPE_CHECKING:
    import asyncio

DRAIN_S_MAX = 30.0  # one stream is read on for at most this long
DRAIN_BYTES_MAX = 16 * 1024 * 1024
DRAINS_MAX = 16  # at the same time; a stream beyond that is closed and estimated
DRAIN_CHUNK_BYTES = 64 * 1024

_tasks: set[asyncio.Task[None]] = set()
_running = threading.BoundedSemaphore(DRAINS_MAX)


class _Limit:
    """How much of one stream is still read."""

    def __init__(self) -> None:
        self._until_s = time.monotonic() + DRAIN_S_MAX
        self._bytes = DRAIN_BYTES_MAX

    def reached(self, chunk: bytes) -> bool:
        self._bytes -= len(chunk)
        return self._bytes < 0 or time.monotonic() > self._until_s


def drain(exchange: Exchange, inner: Iterator[bytes], stream: Any) -> None:
    """Read `inner` on in a thread of its own, then close `stream`. Not from finalizers."""
    if not _running.acquire(blocking=False):
        exchange.cancelled()
        stream.close()
        return
    threading.Thread(
        target=_drain, args=(exchange, inner, stream), name="tokenmeter-drain", daemon=True
    ).start()


def _drain(exchange: Exchange, inner: Iterator[bytes], stream: Any) -> None:
    limit = _Limit()
    try:
        for chunk in inner:
            exchange.chunk(chunk)
            if limit.reached(chunk):
                break
        else:
            exchange.end()
    except Exception as error:  # noqa: BLE001 - the connection may fail as it likes: estimate
        exchange.interrupted(error)
    finally:
        exchange.cancelled()
        stream.close()
        _running.release()


def drain_async(exchange: Exchange, inner: AsyncIterator[bytes], stream: Any) -> None:
    """Read `inner` on in a task of the running loop, then close `stream`."""
    import asyncio  # here to keep our import light

    task = asyncio.get_running_loop().create_task(_drain_async(exchange, inner, stream))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _drain_async(exchange: Exchange, inner: AsyncIterator[bytes], stream: Any) -> None:
    limit = _Limit()
    try:
        async for chunk in inner:
            exchange.chunk(chunk)
            if limit.reached(chunk):
                break
        else:
            exchange.end()
    except Exception as error:  # noqa: BLE001 - as above
        exchange.interrupted(error)
    finally:
        exchange.cancelled()
        await stream.aclose()


def chunks_left(raw: Any, *, decodes: bool | None) -> Iterator[bytes]:
    """Iterate over what is left of a body."""
    if hasattr(raw, "stream"):
        chunks: Iterator[bytes] = raw.stream(DRAIN_CHUNK_BYTES, decode_content=decodes)
        return chunks
    return iter(partial(raw.read, DRAIN_CHUNK_BYTES), b"")
