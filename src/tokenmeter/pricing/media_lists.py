"""Reads a price list file into a Sheet: what may stand in it, and what a row inherits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from tokenmeter.pricing.media_rows import (
    USD,
    Basis,
    Dimension,
    Factor,
    Origin,
    Row,
    Sheet,
    UnitRate,
    Window,
)
from tokenmeter.pricing.media_words import MORE_METRICS, PROVIDERS, spelled
from tokenmeter.pricing.media_yaml import Node, read_yaml
from tokenmeter.usage import METRICS

GLOBAL = "global"
UNKNOWN = "unknown"
_BASES: Mapping[str, Basis] = {"list": "list", "extra": "extra", "estimate": "estimate"}
_ORIGIN = frozenset({"source", "as_of", "confidence", "note", "valid_from", "valid_until"})
_WHOSE = frozenset({"provider", "providers", "model", "models", "when", "region"})
_PRICE = frozenset({"metric", "unit", "per", "price", "price_max", "minimum", "beyond"})
_ABOUT = frozenset({"basis", "defaults", "megapixel", "retired", "assumes", "failed_is_free"})
_ROW = _ORIGIN | _WHOSE | _PRICE | _ABOUT
_FACTOR = _ORIGIN | _WHOSE | {"factor"}
_UNIT = _ORIGIN | {"provider", "unit", "usd", "per_usd", "regions"}
_LIST = _ROW | {"prices", "factors"}
_FILE = frozenset({"provider", "units", "dimensions", "lists"})

Fields = Mapping[str, Node]
T = TypeVar("T")


class _Entry(NamedTuple):
    """One row of a list, with what it inherits from the list and the file."""

    node: Node
    fields: Fields
    when: Mapping[str, frozenset[str]]

    def needed(self, name: str) -> Node:
        """Return a field that must be there."""
        if name not in self.fields:
            raise self.node.fail(f"{name} is missing, here and in the list around it")
        return self.fields[name]

    def optional(self, name: str, read: Callable[[Node], T], default: T) -> T:
        """Return a field that may be left out."""
        return read(self.fields[name]) if name in self.fields else default

    def text(self, name: str) -> str | None:
        """Return a text that may be left out."""
        return self.fields[name].text() if name in self.fields else None

    def whose(self) -> Iterator[tuple[str, str]]:
        """Yield each provider and model this is for."""
        models = self.fields.get("models") or self.needed("model")
        for provider in self.providers():
            for model in models.texts():
                if "*" in model[:-1]:
                    raise models.fail(f"{model!r}: a * may only stand at the end")
                yield provider, model.lower()

    def providers(self) -> tuple[str, ...]:
        """Return the providers in our words."""
        named = (self.fields.get("providers") or self.needed("provider")).texts()
        return tuple(PROVIDERS[name].provider if name in PROVIDERS else name for name in named)

    def window(self) -> Window:
        """Return when this holds."""
        start = self.optional("valid_from", Node.moment, None)
        end = self.optional("valid_until", Node.moment, None)
        if start is not None and end is not None and end <= start:
            raise self.fields["valid_until"].fail("valid_until must be later than valid_from")
        return Window(start, end)

    def origin(self, layer: int) -> Origin:
        """Return who says so, and since when; both are asked of every row."""
        return Origin(
            path=self.node.path,
            line=self.node.line,
            layer=layer,
            source=self.needed("source").text(),
            as_of=self.needed("as_of").moment(),
            confidence=self.text("confidence"),
            note=self.text("note"),
        )


def read_sheet(path: Path, layer: int) -> Sheet:
    """Read one file. Raises ConfigurationError with file and line for what makes no sense."""
    root, digest = read_yaml(path)
    fields = {} if root is None else root.fields(_FILE)
    shared = {name: node for name, node in fields.items() if name == "provider"}
    rows: list[Row] = []
    factors: list[Factor] = []
    for listed in fields["lists"].items() if "lists" in fields else ():
        own = listed.fields(_LIST)
        if own.keys().isdisjoint(("prices", "factors")):
            raise listed.fail("a list says prices or factors; this one has neither")
        outer = _inherited(shared, own)
        rows += _rows(outer, layer)
        factors += _factors(outer, layer)
    units = tuple(_units(fields, shared, layer))
    return Sheet(tuple(rows), tuple(factors), units, _dimensions(fields), digest)


def _inherited(outer: Fields, own: Fields) -> Fields:
    """Lay a row's fields over its list's; who it is for is replaced as a whole."""
    hidden: set[str] = set()
    for pair in (("model", "models"), ("provider", "providers")):
        if not own.keys().isdisjoint(pair):
            hidden.update(pair)
    return {**{name: node for name, node in outer.items() if name not in hidden}, **own}


def _entries(outer: Fields, name: str, known: frozenset[str]) -> Iterator[_Entry]:
    if name not in outer:
        return
    common = {key: node for key, node in outer.items() if key in known}
    for node in outer[name].items():
        own = node.fields(known)
        fields = _inherited(common, own)
        yield _Entry(node, fields, {**_when(common), **_when(own), **_region(fields)})


def _when(fields: Fields) -> dict[str, frozenset[str]]:
    conditions = fields["when"].fields() if "when" in fields else {}
    return {name: _values(name, node) for name, node in conditions.items()}


def _values(name: str, node: Node) -> frozenset[str]:
    return frozenset(_said(name, node, text) for text in node.texts())


def _said(name: str, node: Node, text: str) -> str:
    value = spelled(name, text)
    if value is None:
        raise node.fail(f"leave {name} out where any will do")
    return value


def _region(fields: Fields) -> dict[str, frozenset[str]]:
    """A list that is not for all the world is for events of its region only."""
    region = fields["region"].text() if "region" in fields else GLOBAL
    return (
        {}
        if region == GLOBAL
        else {"region": frozenset({_said("region", fields["region"], region)})}
    )


def _rows(outer: Fields, layer: int) -> Iterator[Row]:
    for entry in _entries(outer, "prices", _ROW):
        metric = entry.needed("metric")
        if metric.text() not in METRICS | MORE_METRICS:
            raise metric.fail(f"{metric.text()!r} is no metric such as image_count")
        row = _row(entry, layer)
        for provider, model in entry.whose():
            yield row.of(provider, model)


def _row(entry: _Entry, layer: int) -> Row:
    price = entry.needed("price")
    row = Row(
        metric=entry.needed("metric").text(),
        when=entry.when,
        price=None if price.text() == UNKNOWN else price.amount(),
        unit=entry.optional("unit", Node.text, USD),
        per=entry.optional("per", Node.whole, 1),
        origin=entry.origin(layer),
        basis=_BASES[entry.optional("basis", lambda node: node.choice(_BASES), "list")],
        region=entry.optional("region", Node.text, GLOBAL),
        window=entry.window(),
        defaults=_defaults(entry.fields),
        price_max=entry.optional("price_max", Node.amount, None),
        minimum=entry.optional("minimum", Node.amount, None),
        beyond=entry.optional("beyond", Node.whole, 0),
        megapixel=entry.optional("megapixel", Node.whole, None),
        retired=entry.optional("retired", Node.moment, None),
        assumes=entry.text("assumes"),
        failed_is_free=entry.text("failed_is_free"),
    )
    if row.price_max is not None and (row.price is None or row.price_max < row.price):
        raise entry.fields["price_max"].fail("price_max must not be less than price")
    return row


def _factors(outer: Fields, layer: int) -> Iterator[Factor]:
    for entry in _entries(outer, "factors", _FACTOR):
        factor, origin = entry.needed("factor").amount(), entry.origin(layer)
        for provider, model in entry.whose():
            yield Factor(provider, model, entry.when, factor, origin, entry.window())


def _units(fields: Fields, shared: Fields, layer: int) -> Iterator[UnitRate]:
    for entry in _entries({**shared, **fields}, "units", _UNIT):
        unit = entry.needed("unit").text()
        inverse = "per_usd" in entry.fields
        if inverse == ("usd" in entry.fields):
            raise entry.node.fail("say what the unit is worth, by either usd or per_usd")
        amount = entry.fields["per_usd" if inverse else "usd"].positive()
        known = (None,) if _is_currency(unit) else entry.providers()
        for provider in known:
            yield UnitRate(
                provider=provider,
                unit=unit,
                amount=amount,
                inverse=inverse,
                origin=entry.origin(layer),
                window=entry.window(),
                regions=entry.optional("regions", partial(_values, "region"), frozenset()),
            )


def _is_currency(unit: str) -> bool:
    return len(unit) == 3 and unit.isupper()


def _dimensions(fields: Fields) -> dict[tuple[str, str], Dimension]:
    if "dimensions" not in fields:
        return {}
    if "provider" not in fields:
        raise fields["dimensions"].fail("dimensions need a provider at the top of the file")
    provider = fields["provider"].text()
    named = fields["dimensions"].fields()
    return {(provider, name): _dimension(name, node) for name, node in named.items()}


def _dimension(name: str, node: Node) -> Dimension:
    said = node.fields({"also", "values", "up_to"})
    values = said["values"].fields() if "values" in said else {}
    classes = said["up_to"].fields() if "up_to" in said else {}
    return Dimension(
        name,
        (name, *(said["also"].texts() if "also" in said else ())),
        {word.lower(): _said(name, value, value.text()) for word, value in values.items()},
        tuple((label.lower(), most.whole()) for label, most in classes.items()),
    )


def _defaults(fields: Fields) -> dict[str, str]:
    said = fields["defaults"].fields() if "defaults" in fields else {}
    return {name: _said(name, node, node.text()) for name, node in said.items()}
