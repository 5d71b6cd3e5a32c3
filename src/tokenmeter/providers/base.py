"""
What an adapter is: pure functions from wire format to usage.

`describe(request) -> Call | None` says what a request asks for; `Api.read(payload) -> Reading`
reads one JSON body or one stream event; readings fold with ``|`` (the later report wins), and
`Api.settle(reading, call) -> Reading` runs once, at close, to turn the provider's way of
counting into ours (DESIGN §4: totals include their parts).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import field, replace
from typing import Any, Literal, NamedTuple

from tokenmeter.frozen import value
from tokenmeter.usage import NOTHING, Number, Usage

Json = dict[str, Any]
State = Literal["success", "failed", "pending"]


@value(frozen=True, slots=True)
class Request:
    """
    What an adapter may look at. Header names are lower case; `host` and `path` are as sent.

    `body` is the JSON object, or the plain form fields of a multipart body (values are str),
    or {} where there is none or it cannot be read.
    """

    method: str
    host: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Json = field(default_factory=dict[str, Any])


@value(frozen=True, slots=True)
class Part:
    """A sub-call that hides inside one exchange and is billed under its own model."""

    name: str  # unique within the exchange, part of the event id: "compaction-0"
    usage: Usage
    model: str | None = None
    event_name: str | None = None  # default: the call's own
    dimensions: Mapping[str, str] = field(default_factory=dict[str, str])


@value(frozen=True, slots=True)
class Reading:
    """
    What one payload reports. None and empty mean: not said here.

    `state`: "success" once the provider says that it is complete (a body, or the last stream
    event), "failed" if it reports an error inside HTTP 200, "pending" for a job that goes on.
    `created` is the provider's own time, epoch seconds or RFC 3339.
    """

    usage: Usage = NOTHING
    model: str | None = None
    response_id: str | None = None
    created: int | float | str | None = None
    state: State | None = None
    error_type: str | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict[str, str])
    parts: tuple[Part, ...] = ()
    flags: frozenset[str] = frozenset()
    cost: str | None = None  # what the provider says it charged, in USD, as it wrote it
    raw: Mapping[str, Any] = field(
        default_factory=dict[str, Any]
    )  # for settle() only; never leaves the adapter
    event_name: str | None = None  # what it turned out to be; default: the call's own
    jobs: tuple[Reading, ...] = ()  # those of a list; each is settled by itself

    def __or__(self, later: Reading) -> Reading:
        if self is NO_READING:  # the usual case: one body, one reading
            return later
        if later is NO_READING:
            return self
        return self._under(later, self.usage | later.usage, later.parts or self.parts)

    def plus(self, other: Reading) -> Reading:
        """Add another thing's usage; its other facts win as with ``|``."""
        if self is NO_READING:
            return other
        return self._under(other, self.usage + other.usage, self.parts + other.parts)

    def _under(self, later: Reading, usage: Usage, parts: tuple[Part, ...]) -> Reading:
        """Lay the facts of `later` over these."""
        return Reading(
            usage,
            later.model or self.model,
            later.response_id or self.response_id,
            self.created if later.created is None else later.created,
            _stronger(self.state, later.state),
            later.error_type or self.error_type,
            {**self.dimensions, **later.dimensions},
            parts,
            self.flags | later.flags,
            later.cost or self.cost,
            {**self.raw, **later.raw},
            later.event_name or self.event_name,
            later.jobs or self.jobs,
        )


NO_READING = Reading()


@value(frozen=True, slots=True)
class Plain:
    """
    A whole answer of the usual form, settled: success, and nothing to flag.

    All that a `Reading` could say beyond these is not there. `response_id` is "" if there is
    none; `created` is as in a Reading.
    """

    numbers: Mapping[str, Number]
    model: str
    response_id: str
    created: int | float | str | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict[str, str])


class PlainStream(NamedTuple):
    """
    Reads a stream of the usual form by two of its events, of which nothing else is to be said.

    Each returns None for an event that is not of the usual form: that is read by `Api.read`.
    """

    # The first event, as `Api.read` reads it: who answers, and no usage.
    first: Callable[[bytes], Reading | None]
    # The event that reports the usage and completes the answer, and what the first one said.
    last: Callable[[bytes, Reading], Plain | None]


def _stronger(now: State | None, later: State | None) -> State | None:
    """A failure stands; anything said later replaces the rest."""
    return now if now == "failed" or later is None else later


@value(frozen=True, slots=True)
class Api:
    """One endpoint family of a provider: how its answers are read."""

    operation: str  # "chat.completions"
    event_name: str  # "text_generated"
    read: Callable[[Json], Reading]
    settle: Callable[[Reading, Call], Reading]
    # A stream event is parsed only if it holds one of these byte strings.
    needles: tuple[bytes, ...] = (b'"usage"', b'"error"')
    # The text that a stream event delivers; used to estimate the output of an aborted stream.
    text: Callable[[Json], str] | None = None
    # Every payload is another thing (lines of a batch result): their usages add up.
    adds: bool = False
    # A raw stream event equal to this (after "data: ") ends the stream well: b"[DONE]".
    done: bytes | None = None
    # response_id is the provider's own for all time, so two sights of it are one thing.
    owns_ids: bool = False
    # Reads a body that is not JSON: raw bytes (cut to a limit) and content type.
    read_bytes: Callable[[bytes, str], Reading] | None = None
    # Reads what the answer's headers report; what the body says stands on top of it.
    read_headers: Callable[[Mapping[str, str]], Reading] | None = None
    # Hands out what a job has made: that is its end, if its submit was seen here and no end was.
    fetches: bool = False
    # A poll that is refused with a reading that failed is the end of its job; elsewhere it
    # says nothing of it.
    refusal_ends: bool = False
    # Takes out of a request's body the only fields that `describe` looks at, as a key; None if
    # it cannot. See capture.known.
    asked: Callable[[bytes], Hashable | None] | None = None
    # Returns the requests of a batch, where its body holds them; None if they cannot be told.
    held: Callable[[Call, Json], list[tuple[Call, Json]] | None] | None = None
    # Reads a whole answer of the usual form at once, settled; None for any other: that is read
    # by `read` and `settle`. See capture.plain and providers.usual.
    plain: Callable[[bytes, Call], Plain | None] | None = None
    # The same for a stream of events.
    stream: PlainStream | None = None


@value(frozen=True, slots=True)
class Call:
    """What a request asks for, before the answer is known."""

    provider: str
    api: Api
    request_model: str | None = None
    streamed: bool = False
    dimensions: Mapping[str, str] = field(default_factory=dict[str, str])
    # Metrics that only the request knows (characters of a speech request), used as they are
    # unless the answer reports the same metric.
    usage: Usage = NOTHING
    # A repeated sight of something created elsewhere: retrieve, poll, batch status.
    repeated: bool = False
    # The job this request asks about, where the path names it.
    job_id: str | None = None
    # Ask for usage in the stream: the body to send instead of the user's.
    edited_body: Json | None = None
    # False: known not to be billed by the provider; still an event (quota counts).
    billable: bool = True


@value(frozen=True, slots=True)
class Adapter:
    """One provider: the hosts it is known by, and its `describe`."""

    name: str
    describe: Callable[[Request], Call | None]
    hosts: tuple[str, ...] = ()  # exact host names
    host_suffixes: tuple[str, ...] = ()  # ".openai.azure.com"
    host_pattern: re.Pattern[str] | None = None  # matches the whole name
    # Recognise a webhook's body, or a poll's, without its request.
    webhook: Callable[[Json], Call | None] | None = None
    # Paths recognised under any host: an OpenAI-compatible server, a gateway, a mock.
    paths: re.Pattern[str] | None = None

    def owns(self, host: str) -> bool:
        """Say whether this host is the provider's own."""
        if host in self.hosts or host.endswith(self.host_suffixes):
            return True
        return self.host_pattern is not None and self.host_pattern.fullmatch(host) is not None


def is_clean(name: str) -> bool:
    """Whether every database takes a name as it is: short, and nothing but letters to print."""
    return len(name) <= TEXT_CHARS_MAX and name.isprintable()


COUNT_MAX = 10**12  # a larger token count is a mistake of the wire, not usage
TEXT_CHARS_MAX = 256  # of a model's name, an id, a dimension


def count(value: object) -> int | None:
    """Return a token count, or None if `value` is not one (negative, NaN, text, bool, huge)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= COUNT_MAX or value != int(value):
        return None
    return int(value)


def counts(payload: Mapping[str, Any], names: Mapping[str, str]) -> tuple[Usage, frozenset[str]]:
    """
    Read `names` (wire name -> metric) from one usage object.

    Missing and null fields are left out; a field that is no count is left out and flagged.
    """
    found: dict[str, Number] = {}
    flags: set[str] = set()
    for wire_name, metric in names.items():
        value = payload.get(wire_name)
        if value is None:
            continue
        number = count(value)
        if number is None:
            flags.add(f"invalid:{wire_name}")
        else:
            found[metric] = number
    return Usage(found), frozenset(flags)


def unknown(payload: Mapping[str, Any], known: frozenset[str]) -> frozenset[str]:
    """Flag the usage fields that we do not know: they may be billed."""
    return frozenset(
        f"unknown:{name}"[:80]
        for name, value in payload.items()
        if name not in known and value not in (None, 0)
    )


def mapping(value: object) -> Json:
    """Return `value` if it is a JSON object, else {}: wire formats are not to be trusted."""
    return value if isinstance(value, dict) else {}


def text(value: object) -> str | None:
    """Return `value` if it is a non-empty string, else None."""
    return value if isinstance(value, str) and value else None


def settled_as_read(reading: Reading, call: Call) -> Reading:
    """Settle where the provider's numbers are already ours."""
    return replace(reading, usage=call.usage | reading.usage)


def named_only(call: Call) -> Call:
    """Return the sight of a job by a body that names it and says nothing of its usage: no end."""
    return replace(call, api=replace(call.api, read=_says_nothing))


def _says_nothing(_payload: Json) -> Reading:
    return Reading(state="pending")
