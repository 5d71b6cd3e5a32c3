"""
Measure one subject against the bare client, in the environment that runs this.

    python benchmarks/capture_worker.py SUBJECT SECONDS_PER_CASE

Prints one line of JSON. Blocks with and without the subject take turns in one process; the
difference of each pair counts, and the median of these is the figure. CPU time of all threads,
what the subject does in the background included.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.metadata
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx2
import openai
from capture_subjects import SUBJECTS, Subject
from capture_wire import AsyncTransport, Server, SyncTransport
from openai.resources.chat.completions import AsyncCompletions, Completions

CALLS = 200  # of a block
CHUNKS = 1000  # of a stream
STREAMS = 2  # of a block
PAIRS_MIN = 3
ACCOUNT: dict[str, Any] = {"api_key": "sk-none", "base_url": "https://api.openai.com/v1"}
MESSAGES = [{"role": "user", "content": "Who pays for this call, and how much? " * 8}]
REQUEST: dict[str, Any] = {"model": "gpt-4o-mini", "messages": MESSAGES}
STREAM = {**REQUEST, "stream": True}
ASKED = {**STREAM, "stream_options": {"include_usage": True}}


@dataclass(frozen=True)
class Case:
    """One kind of call: how it is made, and how many units one block holds."""

    name: str
    run: Callable[[int], object]
    times: int
    units: int


class Caller:
    """Makes the calls, sync and async, against a server inside the process."""

    def __init__(self) -> None:
        server = Server(CHUNKS)
        self._loop = asyncio.new_event_loop()
        self._client = openai.OpenAI(
            **ACCOUNT, http_client=httpx2.Client(transport=SyncTransport(server))
        )
        self._aio = openai.AsyncOpenAI(
            **ACCOUNT, http_client=httpx2.AsyncClient(transport=AsyncTransport(server))
        )

    def call(self, times: int) -> None:
        """Make plain calls."""
        for _ in range(times):
            self._client.chat.completions.create(**REQUEST)

    def acall(self, times: int) -> None:
        """Make plain calls of the async client."""

        async def run() -> None:
            for _ in range(times):
                await self._aio.chat.completions.create(**REQUEST)

        self._loop.run_until_complete(run())

    def stream(self, asked: dict[str, Any], times: int) -> None:
        """Read streams to their end."""
        for _ in range(times):
            for _chunk in self._client.chat.completions.create(**asked):
                pass

    def astream(self, asked: dict[str, Any], times: int) -> None:
        """Read streams of the async client to their end."""

        async def run() -> None:
            for _ in range(times):
                async for _chunk in await self._aio.chat.completions.create(**asked):
                    pass

        self._loop.run_until_complete(run())


def cases(*, unasked: bool) -> Iterator[Case]:
    """Yield what is measured: calls and chunks, sync and async."""
    caller, chunks = Caller(), STREAMS * CHUNKS
    yield Case("call sync", caller.call, CALLS, CALLS)
    yield Case("call async", caller.acall, CALLS, CALLS)
    yield Case("chunk sync", partial(caller.stream, ASKED), STREAMS, chunks)
    yield Case("chunk async", partial(caller.astream, ASKED), STREAMS, chunks)
    if unasked:  # the user asks for no usage: ours edits the request and strips the answer
        yield Case("edited chunk sync", partial(caller.stream, STREAM), STREAMS, chunks)
        yield Case("edited chunk async", partial(caller.astream, STREAM), STREAMS, chunks)


# What instrumentations change. Nothing else that they touch is used here.
CLASSES = (
    httpx2.Client,
    httpx2.AsyncClient,
    openai.OpenAI,
    openai.AsyncOpenAI,
    openai.Stream,
    openai.AsyncStream,
    Completions,
    AsyncCompletions,
)
_ABSENT = object()


class Switch:
    """Switches a subject off and on again by what it changed in CLASSES."""

    def __init__(self, name: str) -> None:
        before = [dict(vars(cls)) for cls in CLASSES]
        self.subject: Subject = SUBJECTS[name]()
        self._changed = [
            (cls, name, was.get(name, _ABSENT), now)
            for cls, was in zip(CLASSES, before, strict=True)
            for name, now in vars(cls).items()
            if was.get(name, _ABSENT) is not now
        ]

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        """Put back what was before, for a while."""
        for cls, name, was, _ in self._changed:
            if was is _ABSENT:
                delattr(cls, name)
            else:
                setattr(cls, name, was)
        yield
        for cls, name, _, now in self._changed:
            setattr(cls, name, now)


@dataclass(frozen=True)
class Block:
    """The CPU time of one block, in seconds: all threads, and the caller's alone."""

    all_s: float
    caller_s: float


def block(case: Case, settle: Callable[[], object]) -> Block:
    """Time one block; before it, a few calls for the interpreter to get used to the switch."""
    case.run(max(1, case.times // 50))
    settle()
    gc.collect()
    all_began, caller_began = time.process_time(), time.thread_time()
    case.run(case.times)
    caller = time.thread_time() - caller_began
    settle()
    return Block(time.process_time() - all_began, caller)


def measure(case: Case, switch: Switch, seconds: float) -> dict[str, float]:
    """Time pairs of blocks for so many seconds; microseconds a unit."""
    settle = switch.subject.settle
    pairs: list[tuple[Block, Block]] = []
    until = time.monotonic() + seconds
    while len(pairs) < PAIRS_MIN or time.monotonic() < until:
        first = block(case, settle) if len(pairs) % 2 else None
        with switch.off():
            bare = block(case, lambda: None)
        pairs.append((bare, first or block(case, settle)))
    scale = 1e6 / case.units
    added = [(ours.all_s - bare.all_s) * scale for bare, ours in pairs]
    quarter = statistics.quantiles(added, n=4)
    return {
        "bare_us": statistics.median(bare.all_s for bare, _ in pairs) * scale,
        "added_us": statistics.median(added),
        "spread_us": (quarter[2] - quarter[0]) / 2,
        "caller_us": statistics.median(o.caller_s - b.caller_s for b, o in pairs) * scale,
        "pairs": len(pairs),
    }


def main(name: str, seconds: float) -> None:
    """Measure every case and print what was found."""
    switch = Switch(name)
    found: dict[str, dict[str, float]] = {}
    for case in cases(unasked=name == "tokenmeter"):
        case.run(case.times)
        seen = switch.subject.arrived()
        gc.collect()
        gc.freeze()
        found[case.name] = {**measure(case, switch, seconds), "seen": seen}
    versions = {p: importlib.metadata.version(p) for p in ("openai", *switch.subject.packages)}
    print(json.dumps({"cases": found, "versions": versions}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
