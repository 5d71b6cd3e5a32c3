"""
The least that watching a call can cost in Python: a tap written by hand for this one benchmark.

It finds by a regular expression what OpenAI's answers report, remembers a call under way in
mapped memory, and keeps one line of JSON per call on disk. It knows one provider, one form of
usage and one customer; it checks nothing, guards against nothing, sees no retry, prices nothing
and delivers nothing. What a meter costs beyond it is what it does beyond it.
"""

from __future__ import annotations

import mmap
import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2

SLOT_BYTES = 512
_MODEL = re.compile(rb'"model":\s*"([^"]*)"')
_HEAD = re.compile(rb'"id":"([^"]*)","object":"[^"]*","created":(\d+),"model":"([^"]*)"')
_USAGE = re.compile(
    rb'"usage":\{"prompt_tokens":(\d+),"completion_tokens":(\d+),"total_tokens":(\d+),'
    rb'"prompt_tokens_details":\{"cached_tokens":(\d+),'
)
_OPENED = (
    '{"event_name":"text_generated","customer":"acme","properties":{"provider":"openai",'
    '"operation":"chat.completions","request_model":"%s","call_id":"%s","attempt":1},'
    '"opened_at":%.3f}\n'
)
_EVENT = (
    '{"event_name":"text_generated","event_id":"openai/%s","external_customer_id":"acme",'
    '"timestamp":"%s","properties":{"provider":"openai","model":"%s","request_model":"%s",'
    '"operation":"chat.completions","streamed":"%s","input_tokens":%s,"output_tokens":%s,'
    '"total_tokens":%s,"cache_read_tokens":%s,"request_count":1,"call_id":"%s","attempt":1,'
    '"outcome":"success","billable":"true","usage_source":"reported","http_status":"200"},'
    '"source":"by-hand"}\n'
)


class Tap:
    """Keeps a line per call; `last` is the newest."""

    def __init__(self, folder: Path) -> None:
        self.last = b""
        self._fd = os.open(folder / "journal", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        slots = os.open(folder / "open", os.O_CREAT | os.O_RDWR)
        os.ftruncate(slots, SLOT_BYTES)
        self._slot = mmap.mmap(slots, SLOT_BYTES)
        self._number = 0

    def opened(self, request: httpx2.Request) -> tuple[str, str]:
        """Remember a call that is under way; return its id and the model asked for."""
        found = _MODEL.search(request.content)
        model = found[1].decode() if found and str(request.url) else ""
        self._number += 1
        call_id = f"call_{self._number}"
        line = (_OPENED % (model, call_id, time.time())).encode()
        self._slot[: len(line)] = line
        return call_id, model

    def ended(self, opened: tuple[str, str], head: bytes, answer: bytes, streamed: str) -> None:
        """Keep what an answer reports."""
        who, used = _HEAD.search(head), _USAGE.search(answer)
        if who is None or used is None:
            raise ValueError("this is not the answer that this benchmark plays")
        name, created, model = who.groups()
        counts = [count.decode() for count in used.groups()]
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(int(created)))
        said = (name.decode(), at, model.decode(), opened[1], streamed, *counts, opened[0])
        self.last = line = (_EVENT % said).encode()
        os.write(self._fd, line)
        self._slot[0] = 0


class _Watched(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """Looks at each chunk of a stream as it passes."""

    def __init__(self, tap: Tap, opened: tuple[str, str], stream: Any) -> None:
        self._tap, self._opened, self._stream = tap, opened, stream

    def __iter__(self) -> Iterator[bytes]:
        first = b""
        for chunk in self._stream:
            first = first or chunk
            if chunk.rfind(b'"usage":{') >= 0:
                self._tap.ended(self._opened, first, chunk, "true")
            yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        first = b""
        async for chunk in self._stream:
            first = first or chunk
            if chunk.rfind(b'"usage":{') >= 0:
                self._tap.ended(self._opened, first, chunk, "true")
            yield chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def switch_on() -> Tap:
    """Watch what httpx2's clients send, in this process, from now on."""
    tap = Tap(Path(tempfile.mkdtemp(prefix="by-hand-bench-")))
    send, send_async = httpx2.Client.send, httpx2.AsyncClient.send

    def watched(opened: tuple[str, str], response: httpx2.Response) -> httpx2.Response:
        if response.is_stream_consumed:
            tap.ended(opened, response.content, response.content, "false")
        else:
            response.stream = _Watched(tap, opened, response.stream)
        return response

    def sync_send(client: Any, request: httpx2.Request, **options: Any) -> httpx2.Response:
        opened = tap.opened(request)
        return watched(opened, send(client, request, **options))

    async def async_send(client: Any, request: httpx2.Request, **options: Any) -> httpx2.Response:
        opened = tap.opened(request)
        return watched(opened, await send_async(client, request, **options))

    httpx2.Client.send = sync_send  # type: ignore[assignment]
    httpx2.AsyncClient.send = async_send  # type: ignore[assignment]
    return tap
