"""A quote: what a call will cost and be charged, before it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tokenmeter.event import Event
from tokenmeter.frozen import value
from tokenmeter.money import Money
from tokenmeter.pricing.priced import Line, Part
from tokenmeter.usage import NOTHING, Usage

# The seam to a customer's catalog: what one more event like this adds to what its customer owes.
# None: no price of the catalog applies to it. One that asks a server answers several at once, by
# a method `many`.
Charger = Callable[[Event], Money | None]


def charges_of(charger: Charger, events: Sequence[Event]) -> list[Money | None]:
    """Ask a catalog about several events."""
    many = getattr(charger, "many", None)
    return [charger(event) for event in events] if many is None else list(many(events))


@value(frozen=True, slots=True)
class Range:
    """From the least to the most that is to be expected; all three are equal where it is sure."""

    low: Money
    expected: Money
    high: Money


@value(frozen=True, slots=True)
class Quote:
    """
    What a call will come to.

    `cost` is what the provider bills, in USD; `charge` what the customer owes by the catalog of
    a local engine. Each is None where no price is known: `notes` say why, and no number is
    guessed. `basis` says what the figures rest on, `lines` what the expected cost is made of.
    """

    provider: str
    model: str | None
    cost: Range | None
    charge: Range | None
    basis: str
    notes: tuple[str, ...] = ()
    usage: Usage = NOTHING  # the quantities that are expected
    customer: str | None = None
    exact: bool = False  # the provider will bill this cost and no other
    counted: int | None = None  # tokens of the prompt by a local estimate, not corrected
    parts: tuple[Part, ...] = ()
    # What the call would become, as expected and at the most, where somebody decides by the quote.
    events: tuple[Event, ...] = ()
    most: tuple[Event, ...] = ()

    @property
    def low(self) -> Money | None:
        """The least: of the charge if a catalog applies, else of the cost."""
        return None if self._range is None else self._range.low

    @property
    def expected(self) -> Money | None:
        """What is most likely: of the charge if a catalog applies, else of the cost."""
        return None if self._range is None else self._range.expected

    @property
    def high(self) -> Money | None:
        """The most: of the charge if a catalog applies, else of the cost."""
        return None if self._range is None else self._range.high

    @property
    def lines(self) -> tuple[Line, ...]:
        """The expected cost, part by part."""
        return tuple(Line(*part) for part in self.parts)

    @property
    def _range(self) -> Range | None:
        return self.cost if self.charge is None else self.charge
