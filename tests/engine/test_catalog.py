"""Applying a catalog: shown first, the same twice, nothing lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.test_catalog_file import MINIMAL, STUDIO
from tokenmeter.engine.catalog import Action
from tokenmeter.engine.catalog_file import BUNDLED, load
from tokenmeter.engine.errors import InvalidOperationError
from tokenmeter.engine.local import Engine

DOCS = Path(__file__).parents[2] / "docs" / "catalog.md"
MORE = """\
    entitlements:
      pictures: {usage_limit: 100, usage_reset_period: MONTHLY}
    credit_grants:
      welcome: {credits: 500}
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(f"sqlite:///{tmp_path / 'usage.db'}") as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.yaml"
    path.write_text(MINIMAL + MORE, encoding="utf-8")
    return path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("name", BUNDLED)
def test_applying_twice_changes_nothing(engine: Engine, name: str) -> None:
    assert {c.action for c in engine.catalog.apply(name)} == {Action.CREATE}
    assert engine.catalog.plan(name) == []
    assert engine.catalog.apply(name) == []


def test_a_plan_changes_nothing(engine: Engine) -> None:
    assert len(engine.catalog.plan("studio")) == len(load("studio").entries)
    assert engine.catalog.target.list("price") == []


def test_what_is_exported_is_the_same_catalog(engine: Engine, tmp_path: Path) -> None:
    engine.catalog.apply("studio")
    engine.catalog.apply("llm")
    path = tmp_path / "exported.yaml"
    path.write_text(engine.catalog.export(), encoding="utf-8")
    assert engine.catalog.plan(path) == []
    with Engine(f"sqlite:///{tmp_path / 'other.db'}") as other:
        other.catalog.apply(path)
        assert other.catalog.plan("studio") == []
        assert other.catalog.plan("llm") == []


def test_the_catalog_in_the_docs_is_applied_as_it_stands(engine: Engine, tmp_path: Path) -> None:
    (code,) = re.findall(r"^```yaml\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.M | re.S)
    path = tmp_path / "shop.yaml"
    path.write_text(code, encoding="utf-8")
    engine.catalog.apply(path)
    assert engine.catalog.plan(path) == []
    path.write_text(engine.catalog.export(), encoding="utf-8")
    assert engine.catalog.plan(path, prune=True) == []


def test_parts_of_a_plan_are_exported_too(engine: Engine, file: Path, tmp_path: Path) -> None:
    engine.catalog.apply(file)
    exported = tmp_path / "exported.yaml"
    exported.write_text(engine.catalog.export(), encoding="utf-8")
    assert engine.catalog.plan(exported, prune=True) == []
    assert load(exported).of("entitlement")[0].fields["usage_limit"] == "100"


def test_definitions_name_each_other_by_id(engine: Engine) -> None:
    engine.catalog.apply("studio")
    meters = {m.fields["name"]: m.id for m in engine.catalog.target.list("meter")}
    (plan,) = engine.catalog.target.list("plan")
    prices = {p.fields["lookup_key"]: p.fields for p in engine.catalog.target.list("price")}
    assert {k: p["amount"] for k, p in prices.items()} == STUDIO
    assert prices["veo_3_1_4k_sec"]["meter_id"] == meters["video_seconds"]
    assert {p["entity_id"] for p in prices.values()} == {plan.id}


def test_a_new_amount_ends_the_price_and_begins_a_version(engine: Engine, file: Path) -> None:
    engine.catalog.apply(file)
    (old,) = [p for p in engine.catalog.target.list("price") if p.fields["amount"] == "0.02"]
    change(file, "amount: 0.02", "amount: 0.025")
    (done,) = engine.catalog.apply(file)
    assert (done.action, done.key, done.differs) == (
        *(Action.UPDATE, "square"),
        {"amount": ("0.02", "0.025")},
    )
    (new,) = [p for p in engine.catalog.target.list("price") if p.fields["amount"] == "0.025"]
    assert new.id != old.id
    assert new.fields["parent_price_id"] == old.id
    assert engine.catalog.plan(file) == []


def test_a_name_changes_in_place(engine: Engine, file: Path) -> None:
    engine.catalog.apply(file)
    (old,) = engine.catalog.target.list("plan")
    change(file, "  pro:\n", "  pro:\n    name: Professional\n")
    engine.catalog.apply(file)
    (new,) = engine.catalog.target.list("plan")
    assert (new.id, new.fields["name"]) == (old.id, "Professional")


def test_what_a_file_does_not_name_stays_unless_it_is_pruned(engine: Engine, file: Path) -> None:
    engine.catalog.apply(file)
    engine.catalog.apply("studio")
    assert engine.catalog.plan(file) == []
    gone = engine.catalog.apply(file, prune=True)
    assert {c.action for c in gone} == {Action.ARCHIVE}
    assert len(gone) == len(load("studio").entries)
    assert [p.fields["lookup_key"] for p in engine.catalog.target.list("plan")] == ["pro"]


@pytest.mark.parametrize(
    ("old", "new"),
    [("field: image_count", "field: pictures"), ("event_name: image_", "event_name: video_")],
)
def test_what_a_meter_counts_cannot_be_changed(
    engine: Engine, file: Path, old: str, new: str
) -> None:
    engine.catalog.apply(file)
    change(file, old, new)
    with pytest.raises(InvalidOperationError, match="meter 'images' cannot be changed"):
        engine.catalog.plan(file)


def test_a_meters_filters_can_be_added_to_and_not_taken_away_from(
    engine: Engine, file: Path
) -> None:
    change(file, "SUM, field: image_count}", "SUM, field: image_count}\n    filters: {a: [x]}")
    engine.catalog.apply(file)
    change(file, "{a: [x]}", "{a: [x, y]}")
    assert [c.kind for c in engine.catalog.apply(file)] == ["meter"]
    change(file, "{a: [x, y]}", "{a: [y]}")
    with pytest.raises(InvalidOperationError, match="not taken away from"):
        engine.catalog.plan(file)


SPELLINGS = """
meters:
  users:
    event_name: text_generated
    aggregation: {type: %s, field: user}
    reset_usage: %s
"""


@pytest.mark.parametrize("kind", ["COUNT_UNIQUE", "UNIQUE_COUNT", "count_unique"])
@pytest.mark.parametrize("reset", ["BILLING_PERIOD", "Periodic", "billing_period"])
def test_a_meter_that_others_spelled_differently_is_the_same(
    engine: Engine, tmp_path: Path, kind: str, reset: str
) -> None:
    """One made by curl with the vendors' "Periodic" had to be written anew under another key."""
    written = tmp_path / "catalog.yaml"
    written.write_text(SPELLINGS % (kind, reset), encoding="utf-8")
    engine.catalog.apply(written)
    for other in (("UNIQUE_COUNT", "Periodic"), ("COUNT_UNIQUE", "BILLING_PERIOD")):
        written.write_text(SPELLINGS % other, encoding="utf-8")
        assert engine.catalog.plan(written) == []
    written.write_text(SPELLINGS % (kind, "Cumulative"), encoding="utf-8")
    with pytest.raises(InvalidOperationError, match="reset_usage"):
        engine.catalog.plan(written)


def test_what_was_made_one_by_one_is_exported_too(engine: Engine, tmp_path: Path) -> None:
    make = engine.definitions.create
    rule = {"type": "SUM", "field": "image_count"}
    meter = {"event_name": "image_generated", "aggregation": rule, "reset_usage": "NEVER"}
    make("price_unit", {"code": "CR", "name": "c", "symbol": "c", **UNIT})
    make("feature", {"name": "Pictures", "type": "metered", "meter": {"name": "pics", **meter}})
    make("plan", {"name": "Pro", "lookup_key": "pro"})
    (held,) = engine.catalog.target.list("meter")
    terms = {
        "entity_type": "PLAN",
        "entity_id": "pro",
        "type": "USAGE",
        "meter_id": held.id,
        "currency": "usd",
        "billing_period": "MONTHLY",
        "billing_period_count": 1,
        "invoice_cadence": "ARREAR",
    }
    own = {"price_unit": "CR", "amount": "3"}
    make("price", {**terms, "lookup_key": "unit", **FLAT, "price_unit_config": own})
    tiers = [{"up_to": 10, "unit_amount": "1"}, {"up_to": None, "unit_amount": "0.5"}]
    slab = {"billing_model": "TIERED", "tier_mode": "SLAB", "tiers": tiers}
    make("price", {**terms, "lookup_key": "slab", **slab, "filter_values": {"size": ["a"]}})
    make("entitlement", {"feature_id": "pictures", "plan_id": "pro", "usage_limit": 5})
    path = tmp_path / "exported.yaml"
    path.write_text(engine.catalog.export(), encoding="utf-8")
    assert engine.catalog.plan(path, prune=True) == []
    with Engine(f"sqlite:///{tmp_path / 'other.db'}") as other:
        assert len(other.catalog.apply(path)) == 7
        assert other.catalog.plan(path, prune=True) == []


UNIT = {"base_currency": "usd", "conversion_rate": "0.01"}
FLAT = {"billing_model": "FLAT_FEE", "price_unit_type": "CUSTOM"}
