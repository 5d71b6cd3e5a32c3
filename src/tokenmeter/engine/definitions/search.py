"""Searching definitions: pages, and conditions on their fields."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import cast

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.definitions.registry import Body
from tokenmeter.engine.errors import ValidationError
from tokenmeter.rating.filters import text
from tokenmeter.rating.rounding import ZERO, number

LIMIT = 50
LIMIT_MAX = 1_000
OFFSET_MAX = 10**9
CONDITIONS_MAX = 50
STATUSES = ("published", "archived", "deleted")
ORDERS = ("asc", "desc")
SORTS = ("created_at", "updated_at")  # by which the database sorts
EQUALS = ("eq", "in")
# By what Flexprice narrows some lists. Where a list here does not know it, it is refused: more
# than was asked for would be taken for all of it.
NARROWING = (
    *("active_at", "addon_association_ids", "alert_enabled", "amount_due_gt"),
    *("amount_remaining_gt", "billing_cadence", "billing_periods", "billing_reason"),
    *("created_by", "credits_available_gt", "currencies", "current_period_start"),
    *("customer_ids", "entity_ids", "entity_type", "expiry_date_after", "expiry_date_before"),
    *("finalized_at_gte", "has_grant_config", "invoice_type", "invoicing_customer_ids"),
    *("metadata", "parent_subscription_ids", "period_end_gte", "period_end_lte"),
    *("period_start_gte", "period_start_lte", "priority", "start_date_lt"),
    *("subscription_customer_id", "subscription_type", "trial_end_due_lte", "updated_after"),
    "voided_at_gte",
)
Equal = Mapping[str, tuple[str, ...]]  # the values a field may have


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a field with a value, or with several."""

    field: str
    operator: str
    values: tuple[object, ...]

    def holds(self, body: Body) -> bool:
        """Tell whether a body fulfils it; a field that is not there fulfils only negations."""
        return _OPERATORS[self.operator](body.get(self.field), self.values)


@dataclass(frozen=True, slots=True)
class Search:
    """Which definitions, in which order, which page of them."""

    limit: int = LIMIT
    offset: int = 0
    status: str = "published"
    sort: str = "created_at"
    order: str = "desc"
    conditions: tuple[Condition, ...] = ()
    parent: str | None = None
    expand: frozenset[str] = frozenset()

    def within(self, parent: str) -> Search:
        """Search only what hangs on this parent."""
        return replace(self, parent=parent)

    def split(self, names: Container[str]) -> tuple[Equal, Search]:
        """
        Take out the conditions that the database can answer, and return the search of the rest.

        `names` are the fields that it knows as text; it compares whole values.
        """
        equal: dict[str, tuple[str, ...]] = {}
        rest: list[Condition] = []
        for condition in self.conditions:
            values = condition.values
            known = condition.operator in EQUALS and condition.field in names
            if known and condition.field not in equal and all(isinstance(v, str) for v in values):
                equal[condition.field] = cast("tuple[str, ...]", values)
            else:
                rest.append(condition)
        return equal, replace(self, conditions=tuple(rest))

    @property
    def is_plain(self) -> bool:
        """Tell whether the database can answer it without the bodies."""
        return not self.conditions and self.sort in SORTS


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of bodies, and how many there are in all."""

    items: tuple[Body, ...]
    total: int


def page_of(bodies: Iterable[Body], wanted: Search) -> Listing:
    """Choose from bodies what a search wants: conditions, order, page."""
    found = [b for b in bodies if all(c.holds(b) for c in wanted.conditions)]
    found.sort(key=lambda b: _rank(b.get(wanted.sort)), reverse=wanted.order == "desc")
    return Listing(tuple(found[wanted.offset : wanted.offset + wanted.limit]), len(found))


def _rank(held: object) -> tuple[bool, Decimal, str]:
    """Sort numbers by value, before texts: amounts are decimals written as text."""
    value = number(held)
    return value is None, value or ZERO, text("" if held is None else held)


def search_of(fields: Fields, names: Mapping[str, str]) -> Search:
    """Read a search: Flexprice's paging and filters, and the kind's own fields (`names`)."""
    sort, order = _sorted(fields)
    for name in NARROWING:
        if name not in names and fields.get(name) not in (None, "", [], {}):
            raise ValidationError(f"{name}: this list cannot be narrowed by it; leave it out.")
    own = [_equal(fields, sent, name) for sent, name in names.items() if fields.get(sent)]
    times = [
        Condition("created_at", operator, (moment,))
        for name, operator in (("start_time", "after"), ("end_time", "before"))
        if (moment := reading.moment(fields, name)) is not None
    ]
    filters = reading.objects(fields, "filters", limit=CONDITIONS_MAX)
    return Search(
        limit=reading.whole(fields, "limit", least=1, most=LIMIT_MAX) or LIMIT,
        offset=reading.whole(fields, "offset", most=OFFSET_MAX) or 0,
        status=reading.choice(fields, "status", STATUSES, "published"),
        sort=sort,
        order=order,
        expand=_expanded(fields),
        conditions=(*own, *times, *(_condition(f) for f in filters)),
    )


def _expanded(fields: Fields) -> frozenset[str]:
    """Read what an answer is to show in full: names with commas between them."""
    names = (name.strip() for text in reading.texts(fields, "expand") for name in text.split(","))
    return frozenset(name for name in names if name)


def _sorted(fields: Fields) -> tuple[str, str]:
    sort = fields.get("sort")
    if isinstance(sort, list):
        given = reading.objects(fields, "sort")
        first = given[0] if given else {}
        order = reading.choice(first, "direction", ORDERS, "desc")
        return reading.text(first, "field") or "created_at", order
    order = reading.text(fields, "order").lower()
    return (
        reading.text(fields, "sort") or "created_at",
        reading.choice({"order": order}, "order", ORDERS, "desc"),
    )


def _equal(fields: Fields, sent: str, name: str) -> Condition:
    if isinstance(fields[sent], bool):
        return Condition(name, "in", (fields[sent],))
    operator = "contains" if sent.endswith("_contains") else "in"
    return Condition(name, operator, reading.texts(fields, sent))


def _condition(fields: Fields) -> Condition:
    operator = reading.choice(fields, "operator", _OPERATORS)
    values = tuple(_values(reading.mapping(fields, "value")))
    if not values:
        raise ValidationError("A filter needs a value: string, number, boolean, date or array.")
    return Condition(reading.needed(fields, "field"), operator, values)


def _values(value: Mapping[str, object]) -> Iterator[object]:
    for name in ("string", "number", "boolean"):
        if value.get(name) is not None:
            yield value[name]
    moment = reading.moment(value, "date")
    if moment is not None:
        yield moment
    yield from reading.sequence(value, "array")


def _is_in(held: object, wanted: Sequence[object]) -> bool:
    return held is not None and text(held) in {text(value) for value in wanted}


def _contains(held: object, wanted: Sequence[object]) -> bool:
    return held is not None and any(text(v).lower() in text(held).lower() for v in wanted)


def _compared(held: object, wanted: Sequence[object], test: Callable[[int], bool]) -> bool:
    """Compare as numbers where both are, as times where one is wanted, else as text."""
    value = wanted[0]
    if isinstance(value, datetime):
        given = _moment(held)
        return given is not None and test((given > value) - (given < value))
    one, other = number(held), number(value)
    if one is not None and other is not None:
        return test((one > other) - (one < other))
    if held is None:
        return False
    return test((text(held) > text(value)) - (text(held) < text(value)))


def _moment(held: object) -> datetime | None:
    try:
        return reading.moment({"time": held}, "time")
    except ValidationError:
        return None  # a field that holds no time is neither before nor after one


_OPERATORS: Mapping[str, Callable[[object, Sequence[object]], bool]] = {
    "eq": _is_in,
    "in": _is_in,
    "not_in": lambda held, wanted: not _is_in(held, wanted),
    "contains": _contains,
    "not_contains": lambda held, wanted: not _contains(held, wanted),
    "gt": lambda held, wanted: _compared(held, wanted, lambda sign: sign > 0),
    "gte": lambda held, wanted: _compared(held, wanted, lambda sign: sign >= 0),
    "lt": lambda held, wanted: _compared(held, wanted, lambda sign: sign < 0),
    "before": lambda held, wanted: _compared(held, wanted, lambda sign: sign < 0),
    "after": lambda held, wanted: _compared(held, wanted, lambda sign: sign >= 0),
}
