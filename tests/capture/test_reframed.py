"""Recordings told in another way that means the same: the same usage, whatever the framing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.capture.expect import check
from tests.capture.play import Answer, Player, chunks_of
from tests.corpus import CORPUS, Exchange, load
from tokenmeter import Event, TokenMeter
from tokenmeter.usage import METRICS

TEXTS = [
    exchange
    for exchange in (load() if CORPUS.is_dir() else ())
    if exchange.response.get("body_base64") is None
]
pytestmark = pytest.mark.skipif(not TEXTS, reason=f"no corpus at {CORPUS}")

SIZES = (1, 2, 3, 7, 61)  # bytes; a character or a CRLF is cut in two
SMALL = 20_000  # bytes; a longer body comes in larger pieces
EVERY = 3  # each recording is told in every third way
Change = Callable[[Any], Any]
Retell = Callable[[str], str]


def is_stream(exchange: Exchange) -> bool:
    kind = exchange.response["headers"].get("content-type", "")
    return "event-stream" in kind or exchange.body.lstrip()[:5] in (b"data:", b"event")


def walk(value: Any, change: Change) -> Any:
    """Apply a change to every object, the innermost first."""
    if isinstance(value, dict):
        return change({key: walk(each, change) for key, each in value.items()})
    return [walk(each, change) for each in value] if isinstance(value, list) else value


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def turned(fields: Any) -> Any:
    return dict(reversed(fields.items()))


def more(fields: Any) -> Any:
    return {"x_first": None, **fields, "x_new": {"deep": [1, {"usage": None}]}, "x_null": None}


def told(change: Callable[[Any], str], prefix: str = "data: ") -> Retell:
    """Write each event's data anew, over as many lines as that takes."""

    def retell(body: str) -> str:
        return "\n".join(
            "\n".join(prefix + piece for piece in change(json.loads(line[5:])).split("\n"))
            if line.startswith("data:") and line[5:].strip()[:1] == "{"
            else line
            for line in body.split("\n")
        )

    return retell


def in_escapes(body: str) -> str:
    """Write every name of a field in unicode escapes, its last letter or all of them."""
    return re.sub(r'"(\w*)(\w)"(\s*:)', _escaped_name, body)


def _escaped_name(found: re.Match[str]) -> str:
    whole = len(found[1]) % 2 == 0
    front = "".join(f"\\u{ord(c):04x}" for c in found[1]) if whole else found[1]
    return f'"{front}\\u{ord(found[2]):04X}"{found[3]}'


STREAMS: dict[str, Retell] = {
    "CRLF": lambda body: body.replace("\n", "\r\n"),
    "lines ended in two ways": lambda body: body.replace("\n\n", "\n\r\n"),
    "and the other way round": lambda body: body.replace("\n\n", "\r\n\n"),
    "CR alone": lambda body: body.replace("\n", "\r"),
    "comments between": lambda body: ": hi\n\n" + body.replace("\n\n", "\n\n: keep-alive\n\n"),
    "comments within": lambda body: body.replace("data:", ": ping\ndata:"),
    "no space": told(compact, "data:"),
    "data over many lines": told(lambda value: json.dumps(value, indent=2)),
    "a byte order mark": lambda body: "\ufeff" + body,
    "id and retry": lambda body: body.replace("data:", "id: 7\nretry: 3000\ndata:"),
    "keys turned round": told(lambda value: compact(walk(value, turned))),
    "unknown fields": told(lambda value: compact(walk(value, more))),
    "no end of the last event": lambda body: body.rstrip("\n"),
    "escaped": told(json.dumps),
    "names in escapes": in_escapes,
}
BODIES: dict[str, Retell] = {
    "indented": lambda body: json.dumps(json.loads(body), indent=4),
    "keys turned round": lambda body: compact(walk(json.loads(body), turned)),
    "unknown fields": lambda body: compact(walk(json.loads(body), more)),
    "space around": lambda body: f"\n  {body}\n\n",
    "escaped": lambda body: json.dumps(json.loads(body)),
    "names in escapes": in_escapes,
}


@pytest.fixture(scope="module")
def meter() -> Iterator[TokenMeter]:
    made = TokenMeter("memory:")
    made.instrument()
    yield made
    made.shutdown()


def came(meter: TokenMeter, exchange: Exchange, body: bytes, size: int) -> list[Event]:
    status, headers = exchange.response["status"], exchange.response["headers"]
    size = size if len(body) < SMALL else 500
    player = Player([Answer(status, headers, chunks_of(body, size))])
    with meter.run() as run, player.client() as client:
        client.request(
            exchange.request["method"],
            exchange.url,
            headers=exchange.request["headers"],
            content=exchange.request_body,
        )
    return run.events


@pytest.mark.parametrize("way", sorted({*STREAMS, *BODIES}))
def test_a_recording_told_in_another_way_says_the_same(meter: TokenMeter, way: str) -> None:
    judged = 0
    for place, exchange in enumerate(TEXTS):
        ways = STREAMS if is_stream(exchange) else BODIES
        if way not in ways or (place + list(ways).index(way)) % EVERY:
            continue
        try:
            retold = ways[way](exchange.body.decode().replace("\r\n", "\n"))
        except json.JSONDecodeError:
            continue  # cut short where it was recorded, or no JSON
        events = came(meter, exchange, retold.encode(), SIZES[place % len(SIZES)])
        try:
            check(exchange, events)
        except AssertionError as error:
            raise AssertionError(f"{exchange.id}: {error}") from error
        judged += 1
    assert judged > 20
    assert meter.faults == 0


# -- numbers ---------------------------------------------------------------------------------

HOLDS = {"usage", "usageMetadata", "usage_metadata", "tool_usage", "billed_units"}
COUNTED = METRICS - {
    *("request_count", "output_count", "image_count", "video_count", "video_jobs"),
    *("audio_seconds", "video_seconds", "time_seconds", "characters", "page_count"),
    # These are counted by what an answer holds.
    *("file_search_count", "maps_grounding_count", "code_execution_count"),
}
# Their numbers stand elsewhere too: in headers, in `statistics`, in the list of searches.
ELSEWHERE = (
    *("bedrock-invoke", "vertex-predict", "vertex-generatecontent-d5b1d3f735ba"),
    # Models that search in each chat, whatever the usage says.
    *("openai-chat.completions-40520f6c7743", "openai-chat.completions-9e0b36319a2e"),
)
TIMES = 3


def times(value: Any, *, counted: bool = False) -> Any:
    """Multiply every number that a usage object holds."""
    if isinstance(value, dict):
        return {k: times(each, counted=counted or k in HOLDS) for k, each in value.items()}
    if isinstance(value, list):
        return [times(each, counted=counted) for each in value]
    return value * TIMES if counted and type(value) is int else value


def tokens(events: list[Event]) -> list[tuple[str, dict[str, Decimal]]]:
    return [
        (
            str(event.properties.get("part", "")),
            {k: Decimal(v) for k, v in event.usage.items() if k in COUNTED},
        )
        for event in events
    ]


def test_three_times_the_usage_is_metered_as_three_times_the_usage(meter: TokenMeter) -> None:
    judged = 0
    for exchange in TEXTS:
        if exchange.id.startswith(ELSEWHERE):
            continue
        text = exchange.body.decode()
        retell = told(lambda value: compact(times(value))) if is_stream(exchange) else _whole
        try:
            retold = retell(text)
        except json.JSONDecodeError:
            continue
        once = tokens(came(meter, exchange, exchange.body, 400))
        wanted = [(part, {k: n * TIMES for k, n in numbers.items()}) for part, numbers in once]
        assert tokens(came(meter, exchange, retold.encode(), 400)) == wanted, exchange.id
        judged += any(numbers for _, numbers in once)
    assert judged > 200


def _whole(body: str) -> str:
    return compact(times(json.loads(body)))
