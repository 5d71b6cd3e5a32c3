"""
The kinds of events that were met, and the formula of each.

Events that have the same properties, and name the same model and terms, are of one kind. If nobody
has a price for their model, all of them have the same reason. What is unusual in any way has no
formula, and goes the long way (`PriceBook.price`), which gives the same answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from tokenmeter.event import Event, Property
from tokenmeter.pricing.formula import Formula, formula_of, those_in
from tokenmeter.pricing.gaps import LONG_WRITES, OUTPUT_PARTS
from tokenmeter.pricing.media_words import REPORTED_UNITS
from tokenmeter.pricing.names import SERVED_FROM_CACHE
from tokenmeter.pricing.tariff import Tariff

KINDS_MAX = 512  # sets of properties that are remembered
RULES_MAX = 1024  # models and terms that are remembered for each

# All that decides by which rates an event is priced, but for its time.
_TERMS = (
    *("provider", "model", "request_model", "model_type", "operation", "outcome"),
    *("service_tier", "speed", "inference_geo", "web_search"),
)
_NEVER = datetime.min.replace(tzinfo=UTC)
_UNUSUAL = frozenset(
    {
        *("reported_cost_usd", *REPORTED_UNITS, "cost_source", "tokens", LONG_WRITES),
        SERVED_FROM_CACHE,
    }
)


@dataclass(frozen=True, slots=True)
class Unpriced:
    """What every event of a kind has beside its own, where nobody has a price for it."""

    costs: dict[str, Property]


@dataclass(slots=True)
class _Rule:
    """The tariff of a kind's events, and their formula under each of its cards."""

    names: frozenset[str]
    tariff: Tariff
    version: str
    formulas: dict[int, Formula | None] = field(default_factory=dict[int, "Formula | None"])
    # The formula that was asked for last, and the time for which it holds.
    latest: tuple[datetime, datetime, Formula | None] = (_NEVER, _NEVER, None)

    def at(self, moment: datetime) -> Formula | None:
        """Return the formula that holds at this time."""
        card = self.tariff.card(moment)
        try:
            found = self.formulas[id(card)]  # the tariff keeps its cards
        except KeyError:
            found = self.formulas[id(card)] = formula_of(card, self.names, self.version)
        window = self.tariff.window(moment)
        if window is not None:
            self.latest = (*window, found)
        return found


@dataclass(slots=True)
class _Kind:
    """Events that have the same properties."""

    names: frozenset[str]
    terms: Callable[[Any], tuple[Property, ...]]
    rules: dict[tuple[Property, ...], _Rule | Unpriced | None] = field(
        default_factory=dict[tuple[Property, ...], "_Rule | Unpriced | None"]
    )


class Formulas:
    """
    The formulas for the kinds of events met so far.

    `tariff_of` returns the tariff of an event whose cost is a matter of its usage alone, what all
    alike have if there is no price, and None for any other; it looks at nothing but what is in
    _TERMS. `version` names the price book.
    """

    def __init__(
        self, tariff_of: Callable[[Event], Tariff | Unpriced | None], version: Callable[[], str]
    ) -> None:
        self._tariff_of, self._version = tariff_of, version
        self._kinds: dict[tuple[str, ...], _Kind | None] = {}

    def of(self, event: Event) -> Formula | Unpriced | None:
        """Return the formula for an event; None if it goes the long way."""
        facts = event.properties
        try:
            kind = self._kinds[tuple(facts)]
        except KeyError:
            kind = self._learn(tuple(facts))
        if kind is None:
            return None
        try:
            rule = kind.rules[kind.terms(facts)]
        except KeyError:
            rule = self._rule(kind, event)
        except TypeError:  # a value that cannot be a key
            return None
        if not isinstance(rule, _Rule):
            return rule
        since, until, formula = rule.latest
        moment = event.timestamp
        if moment.tzinfo is UTC and since <= moment < until:
            return formula
        return rule.at(moment)

    def _learn(self, names: tuple[str, ...]) -> _Kind | None:
        if len(self._kinds) >= KINDS_MAX:
            self._kinds.clear()  # whoever makes up names of properties makes ever more
        known = frozenset(names)
        kind = _Kind(known, itemgetter(*those_in(known, _TERMS))) if _is_usual(known) else None
        self._kinds[names] = kind
        return kind

    def _rule(self, kind: _Kind, event: Event) -> _Rule | Unpriced | None:
        if len(kind.rules) >= RULES_MAX:
            kind.rules.clear()
        found = self._tariff_of(event)
        rule = _Rule(kind.names, found, self._version()) if isinstance(found, Tariff) else found
        kind.rules[kind.terms(event.properties)] = rule
        return rule


def _is_usual(names: frozenset[str]) -> bool:
    """Say whether nothing is reported but a model's usage, and that with its totals."""
    if not {"provider", "model", "input_tokens"} <= names or names & _UNUSUAL:
        return False
    return "output_tokens" in names or names.isdisjoint(OUTPUT_PARTS)
