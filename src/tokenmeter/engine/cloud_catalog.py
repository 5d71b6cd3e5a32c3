"""
A catalog as today's Flexprice cloud can hold it: pure, a catalog file in, another one out.

The cloud drops `filter_values`, and every price bills all that its meter counts. So each
combination becomes a meter of its own, and what cannot be said that way is left out and named:
better not billed there than billed twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from tokenmeter.engine.catalog_fields import in_one_spelling
from tokenmeter.engine.catalog_file import CatalogFile, Entry
from tokenmeter.providers.models import model_type

CODE_CHARS = 3  # of a price unit's code: a longer one can be made there, but no price can use it
NAME_CHARS_MAX = 120
Filters = Mapping[str, tuple[str, ...]]


@dataclass(slots=True)
class CloudCatalog:
    """What to apply, what is left out and why, and what is said differently."""

    catalog: CatalogFile
    left_out: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])


def for_cloud(catalog: CatalogFile) -> CloudCatalog:
    """Expand a catalog for Flexprice's cloud; `filter_values` become meters."""
    made = CloudCatalog(catalog)
    codes = _codes(catalog.of("price_unit"), made)
    meters = {entry.key: _plain_meter(entry, made) for entry in catalog.of("meter")}
    prices = [_in_unit(entry, codes) for entry in catalog.of("price")]
    hidden = _overlapping(prices, made)
    found: dict[tuple[str, str], Entry] = {}
    for entry in catalog.entries:
        if entry.kind not in {"meter", "price"} and not _shared_allowance(entry, prices, made):
            found[entry.kind, entry.key] = _coded(entry, codes)
    found |= {("meter", key): meter for key, meter in meters.items()}
    for price in prices:
        if price.key not in hidden:
            _add(found, price, meters, made)
    order = {entry.kind: n for n, entry in enumerate(catalog.entries)}
    entries = sorted(found.values(), key=lambda e: order[e.kind])
    made.catalog = CatalogFile(catalog.name, tuple(entries))
    return made


def _add(
    found: dict[tuple[str, str], Entry],
    price: Entry,
    meters: Mapping[str, Entry],
    made: CloudCatalog,
) -> None:
    """Add a price, and the meters that its filters need."""
    wanted = _filters(price)
    if not wanted:
        found["price", price.key] = price
        return
    parts = list(_by_model(wanted))
    flat = price.fields.get("billing_model", "FLAT_FEE") == "FLAT_FEE"
    if len(parts) > 1 and not flat:
        made.left_out.append(
            f"price {price.key}: its models need two meters, and Flexprice's tiers start anew in "
            "each; name only canonical models, or only dated ones"
        )
        return
    if len(parts) > 1:
        made.notes.append(
            f"price {price.key}: canonical and dated names of models are two lines there, each "
            "rounded by itself"
        )
    for number, part in enumerate(parts):
        base = meters[price.refs["meter_id"][1]]
        meter = _narrowed(base, part)
        found["meter", meter.key] = meter
        key = price.key if number == 0 else f"{price.key}_{number + 1}"
        fields = {k: v for k, v in price.fields.items() if k != "filter_values"}
        fields |= {"lookup_key": key}
        refs = {**price.refs, "meter_id": ("meter", meter.key)}
        found["price", key] = replace(price, key=key, fields=fields, refs=refs)


def _by_model(wanted: Filters) -> Iterable[Filters]:
    """
    Say `model` in names that the cloud compares as they are.

    Here a filter on `model` also matches the canonical name; there a canonical one is looked for
    in `model_type`, which every event of ours has, and a dated one in `model`.
    """
    models = wanted.get("model")
    if models is None:
        yield wanted
        return
    others = {key: values for key, values in wanted.items() if key != "model"}
    canonical = tuple(v for v in models if model_type(v) == v)
    dated = tuple(v for v in models if model_type(v) != v and model_type(v) not in canonical)
    if canonical:
        yield {**others, "model_type": canonical}
    if dated:
        yield {**others, "model": dated}


def _narrowed(meter: Entry, wanted: Filters) -> Entry:
    own = {f["key"]: tuple(f["values"]) for f in meter.fields.get("filters", ())}
    both = own.keys() & wanted.keys()
    joined = {**own, **wanted, **{k: _in_both(own[k], wanted[k]) for k in both}}
    filters = [{"key": key, "values": list(joined[key])} for key in sorted(joined)]
    said = " ".join(f"{f['key']}={','.join(f['values'])}" for f in filters)
    name = f"{meter.key} {said}"
    if len(name) > NAME_CHARS_MAX:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = f"{name[: NAME_CHARS_MAX - 9]} {digest}"
    return replace(meter, key=name, fields={**meter.fields, "name": name, "filters": filters})


def _in_both(own: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Values that both filters let through; if none does, the meter must count nothing."""
    return tuple(v for v in wanted if v in own) or ("<nothing>",)


def _overlapping(prices: Sequence[Entry], made: CloudCatalog) -> set[str]:
    """Name the prices that elsewhere stand back for a more specific one."""
    hidden: set[str] = set()
    for one, other in combinations(prices, 2):
        same = all(one.refs.get(n) == other.refs.get(n) for n in ("meter_id", "entity_id"))
        if not same or one.fields.get("type") == "FIXED" or not _could_meet(one, other):
            continue
        general, special = sorted((one, other), key=lambda p: len(_filters(p)))
        if general.key not in hidden:
            made.left_out.append(
                f"price {general.key}: Flexprice cannot leave out of it what {special.key} bills, "
                "and would bill that twice; name in its filter_values what it is for"
            )
        hidden.add(general.key)
    return hidden


def _could_meet(one: Entry, other: Entry) -> bool:
    first, second = _filters(one), _filters(other)
    return all(set(first[k]) & set(second[k]) for k in first.keys() & second.keys())


def _filters(price: Entry) -> Filters:
    values: Mapping[str, Sequence[str]] = price.fields.get("filter_values") or {}
    return {key: tuple(held) for key, held in values.items()}


def _plain_meter(meter: Entry, made: CloudCatalog) -> Entry:
    """Leave out what is ours alone."""
    own_words = {k: v for k, v in meter.fields.items() if k != "include_unbilled"}
    fields = in_one_spelling(own_words)  # the cloud knows no other
    aggregation = dict(fields["aggregation"])
    aliases = aggregation.pop("aliases", None)
    if aliases:
        made.notes.append(
            f"meter {meter.key}: Flexprice reads {aggregation.get('field')} only, "
            f"not {', '.join(aliases)}; events of tokenmeter carry it"
        )
    if aggregation.get("type") == "WEIGHTED_SUM":
        made.notes.append(f"meter {meter.key}: Flexprice bills the plain sum, not the weighted")
    if meter.fields.get("include_unbilled"):
        made.notes.append(f"meter {meter.key}: there it counts what is billable only")
    fields["aggregation"] = aggregation
    own = {f["key"]: tuple(f["values"]) for f in fields.get("filters", ())}
    if "model" in own:
        parts = list(_by_model(own))
        said = parts[0] if len(parts) == 1 else own
        fields["filters"] = [{"key": k, "values": list(v)} for k, v in said.items()]
    return replace(meter, fields=fields)


def _shared_allowance(entry: Entry, prices: Sequence[Entry], made: CloudCatalog) -> bool:
    """Whether this is an allowance over several of the cloud's meters, which it cannot share."""
    if entry.kind != "entitlement":
        return False
    feature = entry.refs["feature_id"]
    catalog = made.catalog
    meters = {
        e.refs.get("meter_id") for e in catalog.of("feature") if ("feature", e.key) == feature
    }
    split = [
        price.key
        for price in prices
        if price.refs.get("entity_id") == entry.refs["plan_id"]
        and price.refs.get("meter_id") in meters
        and _filters(price)
    ]
    if split:
        made.left_out.append(
            f"entitlement {entry.key}: {', '.join(split)} are meters of their own there, and "
            "cannot share an allowance"
        )
    return bool(split)


def _codes(units: Iterable[Entry], made: CloudCatalog) -> dict[str, str]:
    """Give every price unit a code of three letters."""
    codes: dict[str, str] = {}
    for unit in units:
        letters = [c for c in unit.key.upper() if c.isalpha()] + ["X"] * CODE_CHARS
        code = unit.key if len(unit.key) == CODE_CHARS else "".join(letters[:CODE_CHARS])
        while code in codes.values():  # the last letter moves on: CRE, CRF, ...
            code = code[:-1] + chr((ord(code[-1]) - 64) % 26 + 65)
        codes[unit.key] = code
        if code != unit.key:
            made.notes.append(f"price unit {unit.key}: its code there is {code}")
    return codes


def _coded(entry: Entry, codes: Mapping[str, str]) -> Entry:
    if entry.kind != "price_unit":
        return entry
    code = codes[entry.key]
    return replace(entry, key=code, fields={**entry.fields, "code": code})


def _in_unit(price: Entry, codes: Mapping[str, str]) -> Entry:
    config = price.fields.get("price_unit_config")
    if not config:
        return price
    unit = codes.get(config["price_unit"], config["price_unit"])
    return replace(
        price, fields={**price.fields, "price_unit_config": {**config, "price_unit": unit}}
    )
