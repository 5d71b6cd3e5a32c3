"""Previews of one meter: what it asked, priced by its price book, its history and its catalog."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from tokenmeter.attribution import NO_ATTRIBUTION, Attribution, current_scope
from tokenmeter.capture.known import KnownCalls
from tokenmeter.capture.observation import Shape
from tokenmeter.capture.previewed import Previewed
from tokenmeter.capture.previewing import stopped_call
from tokenmeter.capture.requests import REQUEST_BYTES_MAX, parse_body
from tokenmeter.capture.stopping import CallStopped
from tokenmeter.event import Event, Property
from tokenmeter.money import Money
from tokenmeter.pricing.asked import TEXT, Asked
from tokenmeter.pricing.batch import each_asked, together
from tokenmeter.pricing.history import NO_HISTORY, History, learned
from tokenmeter.pricing.keywords import asked_by_keywords
from tokenmeter.pricing.preview import Terms, prepared, quote
from tokenmeter.pricing.pricebook import PriceBook
from tokenmeter.pricing.quote import Charger, Quote, charges_of
from tokenmeter.providers import find
from tokenmeter.providers.base import Adapter, Call, Json, Request
from tokenmeter.providers.hosts import known_host
from tokenmeter.providers.paths import regular
from tokenmeter.providers.usual import object_of

HISTORY_EVENTS = 200  # the newest calls of a model and feature that are looked at
HISTORY_DAYS = 30
HISTORY_S = 60.0  # what was learned is used for so long before it is looked at again
ASKED_MAX = 1_024  # combinations of keywords, and calls, that are kept read
PLACES_MAX = 256  # addresses whose adapter is remembered
# Keywords that hold a prompt, which is not to be kept. What the first ones say changes nothing
# of a call for text but the count of its input.
_TEXTS = frozenset({"messages", "contents", "system", "instructions"})
_PROMPTS = frozenset({"prompt", "input", "tools"})
_SAID = ("feature", "environment")
USUAL = Shape()
HISTORIES_MAX = 1_000  # models and features that are remembered


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request to a provider as a gateway has it before it is sent on; `body` may be bytes."""

    method: str
    url: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes | Json = b""


@dataclass(frozen=True, slots=True)
class Caution:
    """
    For who pays on the ground of a quote: its high end is to be no less than can be.

    `answer_tokens_max` as in History; `charger`: whose prices are asked, if not the meter's own.
    """

    answer_tokens_max: int
    charger: Charger | None = None


class Previews:
    """Quotes the calls of one meter; a history that was read is kept for HISTORY_S."""

    def __init__(
        self,
        book: PriceBook,
        engine: Any,
        hosts: Mapping[str, str],
        previewed: Previewed | None = None,
        *,
        shape: Shape = USUAL,
    ) -> None:
        self._book = book
        self._previewed = Previewed() if previewed is None else previewed
        self._engine = engine
        self._hosts = hosts
        self._shape = shape
        self._charger: Charger | None = None if engine is None else self._charge
        self._calls = KnownCalls()
        self._place = lru_cache(maxsize=PLACES_MAX)(self._placed)
        self._asked = lru_cache(maxsize=ASKED_MAX, typed=True)(self._read)
        self._called: dict[int, tuple[Call, Asked]] = {}
        self._histories: dict[tuple[str, str, str | None], tuple[float, History]] = {}

    def by_keywords(
        self, provider: str, model: str, said: Mapping[str, object], whose: Attribution
    ) -> Quote:
        """Quote what was asked by keyword; raises PreviewError for what makes no sense."""
        asked = None if _PROMPTS & said.keys() else self._known(provider, model, said)
        if asked is None:
            asked = asked_by_keywords(provider, model, said, self._book.media)
        return self._quote(asked, whose)

    def _known(self, provider: str, model: str, said: Mapping[str, object]) -> Asked | None:
        """Return what the same keywords asked before, with the texts of now; None if unlike."""
        texts = {name: said[name] for name in said if name in _TEXTS and said[name] is not None}
        rest = {**said, **dict.fromkeys(texts, ())} if texts else said
        try:
            asked = self._asked(provider, model, tuple(rest), *rest.values())
        except TypeError:  # a value that cannot be a key
            return None
        if not texts:
            return asked
        if asked.event_name != TEXT:
            return None
        return prepared(asked, self._book).holding({**asked.body, **texts})

    def _read(self, provider: str, model: str, names: tuple[str, ...], *values: object) -> Asked:
        said = dict(zip(names, values, strict=True))
        return asked_by_keywords(provider, model, said, self._book.media)

    def of_call(
        self, call: Call, body: Json, whose: Attribution, caution: Caution | None = None
    ) -> Quote:
        """Quote a request that an adapter has described; its event will show the estimate."""
        asked = each_asked(call, body)
        return self._remembered(together([self._quote(a, whose, caution) for a in asked]), body)

    def of_request(self, request: HttpRequest, whose: Attribution) -> Quote | None:
        """Quote a request before it is sent; None if no adapter meters it."""
        host, path, query, adapter = self._place(request.url)
        if adapter is None:
            return None
        method, url, headers, body = request.method, request.url, request.headers, request.body
        if isinstance(body, bytes):
            known = self._calls.to(method, url)
            call = None if known is None else known.find(body, edits=False)
            fields = _fields(body, headers)
            if call is not None:
                return self._remembered(self._quote(self._again(call, fields), whose), fields)
        else:
            fields = body
        call = adapter.describe(Request(method, host, path, query, headers, fields))
        if call is None:
            return None
        if isinstance(body, bytes):
            self._calls.learn(method, url, body, call)
        return self.of_call(call, fields, whose)

    def _again(self, call: Call, body: Json) -> Asked:
        """Return what a call asks for that others were found to ask for as well."""
        _, asked = self._called.get(id(call), (None, None))
        if asked is None:
            asked = prepared(Asked.of_call(call, {}), self._book)
            if len(self._called) >= ASKED_MAX:
                self._called.clear()
            self._called[id(call)] = call, asked  # its id is its own while it is kept
        return asked.holding(body) if asked.fits(body) else Asked.of_call(call, body)

    def _remembered(self, found: Quote, body: Json) -> Quote:
        if found.counted is not None and self._engine is not None:
            self._previewed.remember(body, found.counted)
        return found

    def _placed(self, url: str) -> tuple[str, str, str, Adapter | None]:
        parts = urlsplit(url)
        host = known_host(parts.netloc.rpartition("@")[2].lower(), self._hosts)
        path = regular(parts.path)
        return host, path, parts.query, find(host, path)

    def _quote(self, asked: Asked, whose: Attribution, caution: Caution | None = None) -> Quote:
        history, charger = self._history(asked, whose.feature), self._charger
        if caution is not None:
            history = history.cautious(caution.answer_tokens_max)
            charger = caution.charger or charger
        if charger is not None:
            charger = self._as_written(charger, asked.event_name)
        said: dict[str, Property] = {}
        if whose is not NO_ATTRIBUTION:
            said = {name: value for name in _SAID if (value := getattr(whose, name)) is not None}
        terms = Terms(datetime.now(UTC), whose.customer, history, said, charger)
        return quote(asked, terms, self._book)

    def _as_written(self, charger: Charger, event_name: str) -> Charger:
        """Have a catalog asked about events as this meter delivers them, by the user's names."""
        shape, scope = self._shape, current_scope()
        if scope is not None and scope.event_name is not None:
            shape = shape.renamed(event_name, scope.event_name)
        return charger if shape.is_usual else _AsWritten(charger, shape)

    def _charge(self, event: Event) -> Money | None:
        """Ask the catalog what the event adds to its customer's invoice; None without a price."""
        if not event.external_customer_id:
            return None
        try:
            found = self._engine.charge(event)
        except LookupError:  # the customer has no subscription, or several
            return None
        return None if found.amount is None else Money(found.amount, found.currency)

    def _history(self, asked: Asked, feature: str | None) -> History:
        if self._engine is None or not asked.model or asked.stated:
            return NO_HISTORY
        key, now_s = (asked.provider, asked.model, feature), time.monotonic()
        read_s, history = self._histories.get(key, (None, NO_HISTORY))
        if read_s is None or now_s - read_s > HISTORY_S:
            history = self._learned(*key)
            if len(self._histories) >= HISTORIES_MAX:
                self._histories.clear()
            self._histories[key] = now_s, history
        return history

    def _learned(self, provider: str, model: str, feature: str | None) -> History:
        """Look at the newest calls of this model and feature in the local store."""
        filters: dict[str, object] = {"provider": provider, "request_model": model}
        filters |= {} if feature is None else {"feature": feature}
        page = self._engine.events(
            filters={**filters, "outcome": "success"},
            start=datetime.now(UTC) - timedelta(days=HISTORY_DAYS),
            limit=HISTORY_EVENTS,
        )
        return learned(page.events)


@dataclass(frozen=True, slots=True)
class _AsWritten:
    """A catalog that is asked about the events that a call is delivered as; see Charger."""

    charger: Charger
    shape: Shape

    def __call__(self, event: Event) -> Money | None:
        return self.many([event])[0]

    def many(self, events: Sequence[Event]) -> list[Money | None]:
        """Tell of each event what those that it is delivered as come to together."""
        written = [self.shape.written(event) for event in events]
        charges = iter(charges_of(self.charger, [one for some in written for one in some]))
        return [_sum(islice(charges, len(some))) for some in written]


def _sum(charges: Iterable[Money | None]) -> Money | None:
    """Return what is charged in all; None if nothing is, or in several currencies."""
    known = [charge for charge in charges if charge is not None]
    if len({charge.currency for charge in known}) != 1:
        return None
    return Money(sum((charge.amount for charge in known), Decimal(0)), known[0].currency)


def _fields(body: bytes, headers: Mapping[str, str]) -> Json:
    """Return the JSON object or the form fields of a body; most are an object."""
    if body[:1] != b"{":
        return parse_body(body, headers.get("content-type", ""))
    found = object_of(body) if len(body) <= REQUEST_BYTES_MAX else None
    return parse_body(body, "") if found is None else found


def previewed_call(
    function: Callable[[], Any], meter: Any, named: Attribution, previews: Previews
) -> Any:
    """Quote the first call that `function` makes; `named` goes before its scope's customer."""
    stopped = stopped_call(function, meter)
    if isinstance(stopped, CallStopped):
        return _quoted(stopped, named, previews)
    return _awaited(stopped, named, previews)


async def _awaited(
    stopped: Awaitable[CallStopped], named: Attribution, previews: Previews
) -> Quote:
    return _quoted(await stopped, named, previews)


def _quoted(stopped: CallStopped, named: Attribution, previews: Previews) -> Quote:
    return previews.of_call(stopped.call, stopped.body, stopped.attribution.under(named))
