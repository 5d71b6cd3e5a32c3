"""A price list that makes no sense names its file and line, at once."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.pricing.events import event
from tests.pricing.media_files import written
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Property
from tokenmeter.pricing import media_yaml
from tokenmeter.pricing.pricebook import PriceBook

DOCS = Path(__file__).parents[2] / "docs" / "prices.md"
LIST = "lists:\n  - {provider: acme, source: x, as_of: 2026, metric: image_count, model: m, %s}"
PRICES = LIST % "prices: [\n  %s]"


def mistake(folder: Path, text: str) -> str:
    path = written(folder, text)
    with pytest.raises(ConfigurationError) as raised:
        PriceBook(path)
    return str(raised.value).replace(str(path), "own.yaml")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("lists: [}", 1, "did not find expected node content"),
        ("\n\n- 5", 3, "here belongs a mapping"),
        ("lists: 5", 1, "here belongs a list"),
        ("list: []", 1, "'list' is no key here; use dimensions, lists, provider, units"),
        ("lists: []\nlists: []", 2, "'lists' stands here twice"),
        (LIST % "price: 1, prizes: []", 2, "'prizes' is no key here"),
        (LIST % "price: 1", 2, "a list says prices or factors; this one has neither"),
        (LIST % "prices: [{}]", 2, "price is missing, here and in the list around it"),
        (PRICES % "{price: [1]}", 3, "here belongs a text or a number"),
        (PRICES % "{price: ''}", 3, "here belongs a text or a number"),
        (PRICES % "{price: cheap}", 3, "'cheap' is no number"),
        (PRICES % "{price: -1}", 3, "-1 is not between 0 and"),
        (PRICES % "{price: NaN}", 3, "NaN is not between 0 and"),
        (PRICES % "{price: 1e13}", 3, "1e13 is not between 0 and"),
        (PRICES % "{price: 1e-19}", 3, "1e-19 has more than 18 decimal places"),
        (PRICES % "{price: 1, per: 0}", 3, "this must be more than 0"),
        (PRICES % "{price: 1, per: 1.5}", 3, "1.5 is no whole number"),
        (PRICES % "{price: 2, price_max: 1}", 3, "price_max must not be less than price"),
        (PRICES % "{price: unknown, price_max: 1}", 3, "price_max must not be less than price"),
        (PRICES % "{price: 1, basis: guess}", 3, "'guess' is not one of list, extra, estimate"),
        (PRICES % "{price: 1, metric: images}", 3, "'images' is no metric such as image_count"),
        (PRICES % "{price: 1, unit: credit}", 3, "acme has no unit 'credit'"),
        (PRICES % "{price: 1, model: a*b}", 3, "'a*b': a * may only stand at the end"),
        (PRICES % "{price: 1, models: []}", 3, "this list is empty"),
        (PRICES % "{price: 1, when: {size: '*'}}", 3, "leave size out where any will do"),
        (PRICES % "{price: 1, as_of: soon}", 3, "'soon' is no date; write 2026-08-21"),
        (PRICES % "{price: 1, valid_until: 20261}", 3, "'20261' is no date"),
        (
            PRICES % "{price: 1, valid_from: 2026-02, valid_until: 2026-02-01}",
            3,
            "valid_until must be later than valid_from",
        ),
        (PRICES % "{price: 1},\n{price: 2}", 4, "match the same events with equal right"),
        (
            PRICES % "{price: 1, when: {size: [a, b]}},\n{price: 2, when: {fps: 24}}",
            4,
            "this and own.yaml, line 3, match the same events with equal right",
        ),
        (
            PRICES % "{price: 1, valid_until: 2026-06},\n{price: 2, valid_from: 2026-05}",
            4,
            "match the same events with equal right",
        ),
        (
            PRICES % "{price: 1, when: {a: x}, defaults: {a: x}},\n"
            "{price: 2, when: {a: y}, defaults: {a: y}}",
            4,
            "a has another default here than in own.yaml, line 3",
        ),
        (
            LIST % "factors: [{factor: 2, when: {a: x}},\n{factor: 3, when: {a: [x, y]}}]",
            3,
            "match the same events with equal right",
        ),
        ("units:\n- {provider: acme, unit: u, source: x, as_of: 2026}", 2, "by either usd or"),
        (
            "units:\n- {provider: acme, unit: u, usd: 1, per_usd: 1, source: x, as_of: 2026}",
            2,
            "by either usd or per_usd",
        ),
        ("units:\n- {provider: acme, unit: u, usd: 0, source: x, as_of: 2026}", 2, "more than 0"),
        (
            "units: [{unit: EUR, usd: 1},\n{unit: EUR, usd: 2}]".replace(
                "}", ", source: x, as_of: 2026}"
            ),
            2,
            "give one unit two values",
        ),
        ("units:\n- {unit: u, usd: 1, source: x, as_of: 2026}", 2, "provider is missing"),
        ("dimensions: {a: {also: b}}", 1, "dimensions need a provider"),
        ("provider: p\ndimensions: {a: {too: b}}", 2, "'too' is no key here"),
        ("lists: \x00", 1, "this is no YAML in UTF-8"),
        (("[" * 5000) + "]" * 5000, 1, ""),
        ("lists: &a [*a]", 1, ""),
    ],
)
def test_a_mistake_names_file_and_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    told = mistake(tmp_path, text)
    assert told.startswith(f"price list own.yaml, line {line}: ")
    assert said in told


def test_what_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(b"lists: \xff\xfe")
    with pytest.raises(ConfigurationError, match=r"own\.yaml, line 1: "):
        PriceBook(path)


def test_a_file_that_is_not_there_or_too_large_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.yaml cannot be read \(No such file"):
        PriceBook(tmp_path / "gone.yaml")
    monkeypatch.setattr(media_yaml, "PRICES_BYTES_MAX", 10)
    with pytest.raises(ConfigurationError, match="is larger than 10 bytes"):
        PriceBook(written(tmp_path, "lists: []  # nothing"))


@pytest.mark.parametrize(
    "rows",
    [
        "{price: 1, valid_until: 2026-06},\n{price: 2, valid_from: 2026-06}",
        "{price: 1, when: {a: x}},\n{price: 2, when: {a: y}}",
        "{price: 1},\n{price: 2, when: {a: y}}",
        "{price: 1},\n{price: 2, provider: other}",
        "{price: 1},\n{price: 2, metric: video_jobs}",
        "{price: 1},\n{price: 2, basis: estimate}",
    ],
)
def test_rows_that_do_not_contradict_are_taken(tmp_path: Path, rows: str) -> None:
    assert PriceBook(written(tmp_path, PRICES % rows)).media.rows[0].model == "m"


def test_a_row_says_where_it_stands(tmp_path: Path) -> None:
    row = PriceBook(written(tmp_path, PRICES % "{price: 1}")).media.rows[0]
    assert (row.origin.path, row.origin.line) == (str(tmp_path / "own.yaml"), 3)


def test_the_pure_reader_is_as_good_as_the_c_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PRICES % "{price: 1, when: {fps: 24, sound: true, size: 1024x1024}}"
    fast = PriceBook(written(tmp_path, text)).media.rows[0]
    monkeypatch.delattr("yaml.CSafeLoader", raising=False)
    assert PriceBook(written(tmp_path, text)).media.rows[0] == fast
    assert fast.when == {
        "fps": frozenset({"24"}),
        "sound": frozenset({"true"}),
        "size": frozenset({"1024x1024"}),
    }
    assert "line 1: this is nested too deeply" in mistake(tmp_path, "[" * 5000 + "]" * 5000)


@pytest.mark.skipif(not DOCS.is_file(), reason="an installed package has no docs")
def test_the_list_in_the_docs_can_be_used(tmp_path: Path) -> None:
    text = DOCS.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    prices = PriceBook(written(tmp_path, text))
    images = event(provider="openai", model="dall-e-3", quality="standard", image_count=2)
    assert prices.price(images).computed == Decimal("0.06")
    clip: dict[str, Property] = {"provider": "acme", "model": "clip-2-fast", "video_seconds": 10}
    assert prices.price(event(**clip, service_tier="flex")).computed == Decimal("0.27")
    assert prices.price(event(**clip, input_image_count=7)).computed == Decimal("0.5616")
    kling = event(provider="kling", model="kling-3.0-turbo", resolution="720p", video_seconds=5)
    assert prices.price(kling).computed == Decimal("0.504")
    chat = event(provider="openai", model="gpt-4o", input_tokens=1_000, output_tokens=100)
    assert prices.price(chat).computed == Decimal("0.0028")
