"""
Where our microseconds of a call go: the stages of capture, timed inside the real openai client.

    python benchmarks/capture_stages.py

Wall time of the caller's thread, medians. "own" leaves out the stages that are named below a
stage. Each timer adds about 0.3 us to the stages around it.
"""

from __future__ import annotations

import functools
import importlib
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import httpx2
import openai
from capture_wire import Server, SyncTransport
from capture_worker import ACCOUNT, REQUEST

CALLS = 2_000
STAGES = (  # from the outside in; what does not exist (any more) is named and left out
    "tokenmeter.capture.taps.httpx:_open",
    "tokenmeter.capture.opening:known_host",
    "tokenmeter.capture.opening:find",
    "tokenmeter.capture.opening:parse_body",
    "tokenmeter.providers.openai:describe_compatible",
    "tokenmeter.capture.opening:Exchange",
    "tokenmeter.capture.taps.httpx:_attach",
    "tokenmeter.capture.exchange:Exchange.response",
    "tokenmeter.capture.exchange:BodyReader.feed",
    "tokenmeter.capture.exchange:BodyReader.end",
    "tokenmeter.capture.reader:parse",
    "tokenmeter.capture.reader:fold_parsed",
    "tokenmeter.capture.exchange:Exchange._observation",
    "tokenmeter.meter:TokenMeter.observed",
    "tokenmeter.capture.eventids:EventIds.identify",
    "tokenmeter.capture.observation:timestamp_of",
    "tokenmeter.capture.observation:_properties",
    "tokenmeter.meter:event_record",
    "tokenmeter.delivery.facade:to_line",
    "tokenmeter.delivery.journal:Journal.append",
)


class Clock:
    """Times nested stages: the whole of each, and what no stage inside it took."""

    def __init__(self) -> None:
        self.whole: dict[str, list[float]] = defaultdict(list)
        self.own: dict[str, list[float]] = defaultdict(list)
        self._inside = [0.0]  # a sum per open stage

    def around(self, stage: str) -> bool:
        """Time a function from now on; False if there is none of this name."""
        module, _, path = stage.partition(":")
        *owners, name = path.split(".")
        try:
            owner: Any = functools.reduce(getattr, owners, importlib.import_module(module))
            setattr(owner, name, self._timed(stage, getattr(owner, name)))
        except (ImportError, AttributeError):
            return False
        return True

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function, updated=())
        def timed(*args: Any, **named: Any) -> Any:
            self._inside.append(0.0)
            began = time.perf_counter()
            try:
                return function(*args, **named)
            finally:
                took = time.perf_counter() - began
                inside = self._inside.pop()
                self._inside[-1] += took
                self.whole[stage].append(took)
                self.own[stage].append(took - inside)

        return timed


def main() -> int:
    """Print the table."""
    clock = Clock()
    known = [stage for stage in STAGES if clock.around(stage)]
    meter = importlib.import_module("tokenmeter").TokenMeter(
        "memory:", state_dir=tempfile.mkdtemp(prefix="tokenmeter-bench-")
    )
    meter.instrument()
    client = openai.OpenAI(
        **ACCOUNT, http_client=httpx2.Client(transport=SyncTransport(Server(0)))
    )
    for number in range(CALLS + CALLS // 10):
        if number == CALLS // 10:  # warm from here on
            clock.whole.clear()
            clock.own.clear()
        client.chat.completions.create(**REQUEST)
    print(f"{'us, median of ' + str(CALLS) + ' calls':52}{'whole':>8}{'own':>8}{'times':>7}")
    for stage in known:
        whole, own = clock.whole[stage], clock.own[stage]
        if whole:
            row = f"{statistics.median(whole) * 1e6:8.1f}{statistics.median(own) * 1e6:8.1f}"
            print(f"{stage:52}{row}{len(whole) / CALLS:7.1f}")
    print(f"{'all stages':60}{sum(map(_total, clock.own.values())):8.1f}")
    missing = sorted(set(STAGES) - set(known))
    print(*(f"no such function: {stage}" for stage in missing), sep="\n")
    meter.shutdown()
    return 0


def _total(own: list[float]) -> float:
    return statistics.median(own) * 1e6 * len(own) / CALLS


if __name__ == "__main__":
    sys.exit(main())
