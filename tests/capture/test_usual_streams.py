"""Streams that are read by their first event and their last: as if each one were parsed."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.capture.play import Answer, Player
from tests.capture.test_known import asked, described
from tests.capture.test_openai_lifecycle import events_of
from tests.capture.wire import SSE
from tests.corpus import CORPUS, folder_names, load
from tokenmeter import TokenMeter
from tokenmeter.capture.passed import event_data
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers.base import Plain

URL = "https://api.openai.com/v1/chat/completions"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
PROMPT = [{"role": "user", "content": "Hello"}]
UNASKED = asked(model="gpt-4o", messages=PROMPT, stream=True, service_tier="auto")
ASKED = asked(model="gpt-4o", messages=PROMPT, stream=True, stream_options={"include_usage": True})
DONE = b"data: [DONE]\n\n"
CUSTOMERS = itertools.count()


def chunk(choices: list[Any], **fields: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1795255200,
        "model": "gpt-4o-2024-08-06",
        "choices": choices,
        "usage": None,
        **fields,
    }


def delta(**said: Any) -> dict[str, Any]:
    return {"index": 0, "delta": said, "finish_reason": None}


FIRST = chunk([delta(role="assistant", content="")], service_tier="default")
TEXT = [chunk([delta(content=f"word {number} ")]) for number in range(30)]
END = chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
LAST = chunk([], usage=USAGE)
USUAL = [FIRST, *TEXT, END, LAST]


def event(payload: object) -> bytes:
    return b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"


def reader_of(*payloads: object, strip: bool = False) -> EventReader:
    reader = EventReader(described(UNASKED).api, strip_usage=strip)
    for payload in payloads:
        data = event(payload)
        if not reader.quiet(data):
            reader.feed(data)
    return reader


@pytest.fixture
def long_way(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Say whether every event that counts is parsed from now on."""
    short = EventReader._fold_quickly

    def choose(wanted: bool) -> None:
        monkeypatch.setattr(EventReader, "_fold_quickly", _never if wanted else short)

    return choose


def _never(*_: object) -> bool:
    return False


def played(
    meter: TokenMeter,
    body: bytes,
    request: bytes,
    *,
    url: str = URL,
    size: int = 0,
    stop: int = 0,
    status: int = 200,
) -> tuple[bytes, dict[str, Any]]:
    """Return what the user got, and the event without what differs from call to call."""
    chunks = [raw + b"\n\n" for raw in body.split(b"\n\n")[:-1]]
    if size:
        chunks = [body[at : at + size] for at in range(0, len(body), size)]
    client = Player([Answer(status, dict(SSE), chunks)]).client()
    got: list[bytes] = []
    customer = f"acme-{next(CUSTOMERS)}"  # another each time: what failed is retried by nobody
    with meter.attribute(customer, "chat", tags={"team": "a"}), meter.run("run-1"):
        headers = {"content-type": "application/json"}
        with client.stream("POST", url, content=request, headers=headers) as answer:
            for number, piece in enumerate(answer.iter_raw()):
                if stop and number >= stop:
                    break
                got.append(piece)
    made = events_of(meter)[-1]
    assert made.external_customer_id == customer
    facts = dict(made.properties)
    facts.pop("call_id")
    facts.pop("id_reused", None)
    return b"".join(got), {"name": made.event_name, **facts}


@pytest.mark.parametrize("request_body", [ASKED, UNASKED])
@pytest.mark.parametrize("size", [0, 1, 17, 4096])
def test_a_usual_stream_is_metered_and_handed_on_as_if_parsed(
    meter: TokenMeter, long_way: Callable[[bool], None], request_body: bytes, size: int
) -> None:
    body = b"".join(map(event, USUAL)) + DONE
    long_way(True)
    expected = played(meter, body, request_body, size=size)
    long_way(False)
    assert played(meter, body, request_body, size=size) == expected
    got, facts = expected
    assert (facts["input_tokens"], facts["output_tokens"], facts["outcome"]) == (9, 4, "success")
    assert got == (body if request_body == ASKED else body.replace(event(LAST), b""))


def test_another_status_is_told(meter: TokenMeter) -> None:
    body = b"".join(map(event, USUAL)) + DONE
    assert played(meter, body, ASKED, status=201)[1]["http_status"] == "201"


@pytest.mark.parametrize("strip", [False, True])
def test_the_usual_stream_is_not_parsed(
    monkeypatch: pytest.MonkeyPatch, strip: bool, meter: TokenMeter
) -> None:
    def parsed(*_: object) -> bool:
        raise AssertionError("an event was parsed")

    monkeypatch.setattr(EventReader, "_fold_slowly", parsed)
    assert reader_of(*USUAL, strip=strip).plain is not None
    body = b"".join(map(event, USUAL)) + DONE
    assert played(meter, body, ASKED)[1]["output_tokens"] == 4
    assert meter.faults == 0


def without(payload: dict[str, Any], name: str) -> dict[str, Any]:
    return {field: value for field, value in payload.items() if field != name}


FIRSTS: dict[str, dict[str, Any]] = {
    "a model that searches each time": {**FIRST, "model": "gpt-4o-search-preview-2025-03-11"},
    "an error": {**FIRST, "error": {"code": "overloaded"}},
    "an error in a choice": {**FIRST, "choices": [{**delta(), "error": {"code": 502}}]},
    "a usage": {**FIRST, "usage": {**USAGE}},
    "a usage in a choice": {**FIRST, "choices": [{**delta(), "usage": USAGE}]},
    "an image": {**FIRST, "choices": [delta(images=[{"type": "image_url"}])]},
    "a whole answer": {**FIRST, "object": "chat.completion"},
    "a message": {**FIRST, "choices": [{"message": {"content": "x"}}]},
    "Groq's own": {**FIRST, "x_groq": {"id": "req_1"}},
    "a server's times": {**FIRST, "timings": {"prompt_n": 3, "predicted_n": 4}},
    "MiniMax's refusal": {**FIRST, "base_resp": {"status_code": 1004}},
    "a name of two lines": {**FIRST, "model": "gpt\n4"},
    "no name": without(FIRST, "id"),
    "a tier of two lines": {**FIRST, "service_tier": "a\nb"},
}
LASTS: dict[str, dict[str, Any]] = {
    "another answer's": {**LAST, "id": "chatcmpl-2"},
    "an unknown count": {**LAST, "usage": {**USAGE, "new_tokens": 5}},
    "a wrong total": {**LAST, "usage": {**USAGE, "total_tokens": 5}},
    "a count that is text": {**LAST, "usage": {**USAGE, "prompt_tokens": "9"}},
    "a tier in the usage": {**LAST, "usage": {**USAGE, "service_tier": "flex"}},
    "an error": {**LAST, "error": {"code": "overloaded"}},
    "text beside it": {**LAST, "choices": [delta(content="x")]},
    "MiniMax's refusal": {**LAST, "base_resp": {"status_code": 1004}},
    "a name of two lines": {**LAST, "model": "gpt\n4"},
    "a model that searches each time": {**LAST, "model": "gpt-4o-search-preview-2025-03-11"},
    "a tier of two lines": {**LAST, "service_tier": "a\nb"},
    "a long tier": {**LAST, "service_tier": "t" * 300},
}
UNUSUAL = {
    **{f"first: {what}": [first, *TEXT, END, LAST] for what, first in FIRSTS.items()},
    **{f"last: {what}": [FIRST, *TEXT, END, last] for what, last in LASTS.items()},
    "a usage in every chunk": [FIRST, *(chunk([delta()], usage=USAGE) for _ in TEXT), LAST],
    "a second usage": [*USUAL, LAST],
    "an error behind the text": [FIRST, *TEXT, {"error": {"code": "overloaded"}}, LAST],
}


@pytest.mark.parametrize("payloads", UNUSUAL.values(), ids=list(UNUSUAL))
@pytest.mark.parametrize("request_body", [ASKED, UNASKED])
def test_a_stream_that_says_more_is_parsed(
    meter: TokenMeter,
    long_way: Callable[[bool], None],
    request_body: bytes,
    payloads: list[dict[str, Any]],
) -> None:
    assert reader_of(*payloads).plain is None
    body = b"".join(map(event, payloads)) + DONE
    long_way(True)
    expected = played(meter, body, request_body)
    long_way(False)
    assert played(meter, body, request_body) == expected


@pytest.mark.parametrize("behind", [{"error": {"code": "overloaded"}}, {**LAST, "usage": None}])
@pytest.mark.parametrize("together", [False, True])
def test_what_comes_behind_the_usage_counts_as_before(
    meter: TokenMeter, long_way: Callable[[bool], None], behind: dict[str, Any], together: bool
) -> None:
    body = b"".join(map(event, [*USUAL, behind])) + DONE
    size = len(body) if together else 0
    long_way(True)
    expected = played(meter, body, ASKED, size=size)
    long_way(False)
    assert played(meter, body, ASKED, size=size) == expected


@pytest.mark.parametrize("stop", [1, 5, 20, 33])
def test_a_stream_that_is_left_early_is_estimated_as_before(
    meter: TokenMeter, long_way: Callable[[bool], None], stop: int
) -> None:
    body = b"".join(map(event, USUAL)) + DONE
    long_way(True)
    expected = played(meter, body, ASKED, stop=stop)
    long_way(False)
    assert played(meter, body, ASKED, stop=stop) == expected
    assert expected[1]["usage_source"] == ("estimated" if stop < 33 else "reported")


def plain_of(reader: EventReader) -> Plain | None:
    return reader.plain


def test_what_was_read_is_there_to_be_asked_for() -> None:
    reader, thorough = reader_of(*USUAL), reader_of(*USUAL[:-1])
    assert plain_of(reader) is not None
    thorough._fold_slowly(json.dumps(LAST).encode())
    assert reader.reading == thorough.reading
    assert plain_of(reader) is None  # it is in the reading now
    assert reader.is_said


NAMES = st.sampled_from(["gpt-4o-2024-08-06", "", None, 5, "a\nb", "n" * 300])
COUNTS = st.integers(0, 20) | st.sampled_from([None, "5", -1, True, 10**13])
TIERS = st.sampled_from(["default", "flex", "", None, 3])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "id": st.sampled_from(["chatcmpl-1", "chatcmpl-2", "", None]),
    "model": NAMES,
    "created": st.sampled_from([int(time.time()), int(time.time()) - 200_000, 1.5, None, "now"]),
    "service_tier": TIERS,
    "object": st.sampled_from(["chat.completion.chunk", "chat.completion", None]),
    "error": st.sampled_from([None, {}, {"code": 5}]),
    "choices": st.sampled_from([[], [delta(content="x")], [END["choices"][0]], [5], None]),
}
DETAILS = st.dictionaries(
    st.sampled_from(["cached_tokens", "audio_tokens", "reasoning_tokens", "odd"]), COUNTS
)
USAGES = st.fixed_dictionaries(
    {"prompt_tokens": COUNTS, "completion_tokens": COUNTS},
    optional={
        "total_tokens": COUNTS,
        "prompt_tokens_details": DETAILS | st.none(),
        "completion_tokens_details": DETAILS | st.none(),
    },
)
CHANGED = st.fixed_dictionaries({}, optional=FIELDS)


@given(first=CHANGED, last=CHANGED, usage=USAGES | st.just(USAGE), asks=st.booleans())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_a_stream_says_it_is_metered_as_if_parsed(
    meter: TokenMeter,
    long_way: Callable[[bool], None],
    first: dict[str, Any],
    last: dict[str, Any],
    usage: dict[str, Any],
    asks: bool,
) -> None:
    payloads = [{**FIRST, **first}, *TEXT[:3], END, {**LAST, "usage": usage, **last}]
    body = b"".join(map(event, payloads)) + DONE
    request = ASKED if asks else UNASKED
    long_way(True)
    expected = played(meter, body, request)
    long_way(False)
    assert played(meter, body, request) == expected


@pytest.mark.skipif(not CORPUS.is_dir(), reason="no recordings")
def test_every_recorded_stream_is_metered_as_if_parsed(
    meter: TokenMeter, long_way: Callable[[bool], None]
) -> None:
    read: Counter[bool] = Counter()
    for exchange in load(*folder_names()):
        if exchange.api != "chat.completions" or not exchange.body.startswith(b"data:"):
            continue
        reader = EventReader(described(ASKED).api)
        for raw in exchange.body.split(b"\n\n"):
            if event_data(raw):
                reader.feed(raw + b"\n\n")
        read[reader.plain is not None] += 1
        long_way(True)
        expected = played(meter, exchange.body, exchange.request_body, url=exchange.url, size=99)
        long_way(False)
        seen = played(meter, exchange.body, exchange.request_body, url=exchange.url, size=99)
        assert seen == expected, exchange.id
    assert min(read[True], read[False]) > 0, read
