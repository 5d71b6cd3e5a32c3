"""What calls like this one used before: the ground for an expectation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import median, quantiles
from typing import NamedTuple

from tokenmeter.event import PREVIEWED, Event
from tokenmeter.usage import Number

EVENTS_MIN = 3  # fewer calls are no history
CORRECTED_MIN = 2  # calls that a count can be corrected by
RATIO_MAX = 2  # no encoding makes more of a text: what is beyond was not in the request


class Spread(NamedTuple):
    """From the least to the most that is to be expected of one quantity."""

    low: Number
    expected: Number
    high: Number

    def times(self, factor: int) -> Spread:
        """Return the spread of so many."""
        return self if factor == 1 else Spread(*(number * factor for number in self))

    def at_most(self, limit: Number | None) -> Spread:
        """Return the spread under a limit."""
        return self if limit is None else Spread(*(min(number, limit) for number in self))


class Correction(NamedTuple):
    """What is billed for tokens that were counted: so many times as much, or so many more."""

    ratio: Decimal = Decimal(1)
    extra: Decimal = Decimal(0)

    def of(self, counted: Decimal) -> Decimal:
        """Return the tokens to expect."""
        return max(counted * self.ratio + self.extra, Decimal(0))

    def __str__(self) -> str:
        return f"{self.extra:+.0f}" if self.extra else f"x {self.ratio:.2f}"


@dataclass(frozen=True, slots=True)
class History:
    """
    Median and outer tenths of what past calls used.

    `input` is how to come from tokens counted before a call to those that were billed.
    `answer_tokens_max` is for those who must not expect too little: the most that an answer may
    be where nothing limits it; the request's own limit counts, whatever calls used before.
    """

    events: int = 0
    input_tokens: Spread | None = None
    output_tokens: Spread | None = None
    input: Correction | None = None
    answer_tokens_max: int | None = None

    @property
    def is_cautious(self) -> bool:
        """Whether somebody decides by what is expected."""
        return self.answer_tokens_max is not None

    def cautious(self, answer_tokens_max: int) -> History:
        """Return what is safe to expect: at the high end no less than could be."""
        least = self.input
        if least is not None:
            least = Correction(max(least.ratio, Decimal(1)), max(least.extra, Decimal(0)))
        return replace(self, input=least, answer_tokens_max=answer_tokens_max)


NO_HISTORY = History()


def learned(events: Iterable[Event]) -> History:
    """Return what these events teach; only calls that went well, with usage, are asked."""
    facts = [event.properties for event in events if event.properties.get("outcome") == "success"]
    if not facts:
        return NO_HISTORY
    inputs = [n for n in (fact.get("input_tokens") for fact in facts) if _counts(n)]
    outputs = [n for n in (fact.get("output_tokens") for fact in facts) if _counts(n)]
    pairs = [
        (Decimal(int(fact["input_tokens"])), Decimal(int(fact[PREVIEWED])))
        for fact in facts
        if _counts(fact.get("input_tokens")) and _counts(fact.get(PREVIEWED))
    ]
    return History(len(facts), _spread(inputs), _spread(outputs), correction_of(pairs))


def correction_of(pairs: list[tuple[Decimal, Decimal]]) -> Correction | None:
    """
    Return how tokens billed follow from tokens counted; None if too few are known.

    By their ratio, as far as that can be the texts'; beyond, by what comes on top: what a tool
    of the provider's reads is the same for a short prompt and for a long one.
    """
    found = [(billed, counted) for billed, counted in pairs if billed and counted]
    if len(found) < CORRECTED_MIN:
        return None
    ratio = median(billed / counted for billed, counted in found)
    if ratio <= RATIO_MAX:
        return Correction(ratio)
    return Correction(extra=median(billed - counted for billed, counted in found))


def _counts(value: object) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool) and value >= 0) or (
        isinstance(value, str) and value.isdecimal()
    )


def _spread(numbers: Iterable[object]) -> Spread | None:
    known = sorted(int(str(number)) for number in numbers)
    if len(known) < EVENTS_MIN:
        return None
    tenths = quantiles(known, n=10, method="inclusive")
    return Spread(int(tenths[0]), round(median(known)), -int(-tenths[-1] // 1))
