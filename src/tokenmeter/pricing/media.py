"""
Prices of media: images, videos, worlds, by the piece, second, token or job.

The lists are in data/*.yaml, one row per model, metric and dimensions, each with its source and
date. They are read on first use, in the thread that prices, and once in a process.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cache, cached_property, lru_cache
from pathlib import Path

from tokenmeter.event import Event, Property
from tokenmeter.pricing.media_lists import read_sheet
from tokenmeter.pricing.media_rows import Row, Sheet
from tokenmeter.pricing.media_shelf import Shelf, Worth
from tokenmeter.pricing.media_tariff import Facts, MediaTariff, utc
from tokenmeter.pricing.media_words import (
    PROVIDERS,
    REPORTED_UNITS,
    UNIT_PACKAGE,
    Known,
    spelled,
)
from tokenmeter.pricing.priced import Priced

DATA = Path(__file__).parent / "data"
SHEETS = Path(__file__).parent / "sheets"
BUNDLED = ("studio",)  # sheets that can be named instead of a file
TARIFFS_MAX = 4096  # combinations of provider and model names that are kept looked up
SHOWN_MAX = 60  # characters of a foreign text in a reason
USERS, OURS = 0, 1  # the layers of price lists: the user's is asked first
_DIGITS_MAX = 30  # of an amount in a provider's units, before and after the point


class MediaPrices:
    """
    The price lists of media, and the user's own.

    `extra` is a file of the user's, or the name of a bundled sheet (`studio`): its rows go before
    ours. It is read at once, and raises ConfigurationError, with file and line, if it makes no
    sense.
    """

    def __init__(self, extra: str | Path | None = None) -> None:
        self._extra = None if extra is None else _sheet(extra)
        self._tariff = lru_cache(maxsize=TARIFFS_MAX)(self._find)
        if self._extra is not None:
            self.shelf  # noqa: B018  its mistakes are raised now

    @cached_property
    def shelf(self) -> Shelf:
        """All price lists, the user's first; read when first asked for."""
        if self._extra is None:
            return _our_shelf()
        return Shelf([read_sheet(self._extra, USERS), *_our_sheets()])

    @cached_property
    def version(self) -> str:
        """The lists' name, as events carry it: ``media-2026-11-21``, ``…+1f2e3d4c`` with extra."""
        newest = max(row.origin.as_of for row in self.rows if row.origin.layer == OURS)
        own = "" if self._extra is None else f"+{self.shelf.sheets[0].digest}"
        return f"media-{newest:%Y-%m-%d}{own}"

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every row, the user's first."""
        return self.shelf.rows

    def price(self, event: Event) -> Priced | None:
        """Price an event by list; None where the lists do not know its model or its metrics."""
        tariff = self.tariff(event.properties)
        return None if tariff is None else tariff.price(event, "list")

    def estimate(self, event: Event) -> Priced | None:
        """Price an event whose tokens are not known by the usual price of such a thing."""
        tariff = self.tariff(event.properties)
        return None if tariff is None else tariff.price(event, "estimate")

    def unreported(self, event: Event) -> Priced | None:
        """Say that an event does not report what its model is billed by."""
        tariff = self.tariff(event.properties)
        rows = () if tariff is None else tariff.offer.rows
        metrics = dict.fromkeys(row.metric for row in rows if row.basis == "list")
        if tariff is None or not metrics:
            return None
        reason = f"{tariff.offer.model} is billed by {', '.join(metrics)}: none is reported"
        return Priced(None, self.version, reason)

    def unknown(self, event: Event) -> Priced | None:
        """Say that an event's model is in no list, if its provider is in one."""
        facts = event.properties
        known, model = _known(facts.get("provider")), facts.get("model")
        if known is None or not isinstance(model, str) or not self.shelf.knows(known.provider):
            return None
        reason = f"no price for {model[:SHOWN_MAX]!r} of provider {known.provider!r}"
        return Priced(None, self.version, reason)

    def usd(self, row: Row, amount: Decimal | None, at: datetime) -> Decimal | None:
        """Convert an amount in a row's unit; None if there is none, or no rate at this time."""
        worth = self.shelf.units.worth(row, utc(at))
        return None if worth is None or amount is None else worth.usd(amount)

    def charged(self, event: Event) -> Decimal | None:
        """Convert what the provider says it charged in its own unit; None if it says nothing."""
        facts = event.properties
        for name, unit in REPORTED_UNITS.items():
            if name in facts:
                named = _of_package(unit, facts.get(UNIT_PACKAGE))
                return self._in_usd(facts, named, _amount(facts[name]), event.timestamp)
        return None

    def _in_usd(
        self, facts: Facts, unit: str, amount: Decimal | None, moment: datetime
    ) -> Decimal | None:
        known, region = _known(facts.get("provider")), spelled("region", facts.get("region"))
        if known is None or amount is None:
            return None
        rate = self.shelf.units.charged(known.provider, unit, utc(moment))
        if rate is None or (region and rate.regions and region not in rate.regions):
            return None
        return Worth(rate.amount, rate.inverse).usd(amount)

    def tariff(self, facts: Facts) -> MediaTariff | None:
        """Return the prices of the model that an event names: the served, asked, canonical."""
        get = facts.get
        names = get("provider"), get("model"), get("request_model"), get("model_type")
        try:
            return self._tariff(*names)
        except TypeError:  # a name that cannot be a key
            return self._find(*names)

    def _find(self, provider: object, *models: object) -> MediaTariff | None:
        known = _known(provider)
        refs = [model for model in models if isinstance(model, str) and model]
        offer = None if known is None else self.shelf.find(known.provider, refs)
        if known is None or offer is None:
            return None
        if not refs[0].lower().endswith(offer.model.lower()):
            note = f"{refs[0]} is not in the price book: priced as {offer.model}"
            offer = replace(offer, note=note)
        return MediaTariff(replace(offer, region=known.region), self.shelf.units, self.version)


@cache
def _our_sheets() -> tuple[Sheet, ...]:
    """Our own lists; a process may have many price books, and to read them takes 40 ms."""
    return tuple(read_sheet(path, OURS) for path in sorted(DATA.glob("*.yaml")))


@cache
def _our_shelf() -> Shelf:
    return Shelf(_our_sheets())


def _sheet(named: str | Path) -> Path:
    if str(named) in BUNDLED:
        return SHEETS / f"{named}.yaml"
    return Path(named).expanduser()


def _known(provider: object) -> Known | None:
    if not isinstance(provider, str) or not provider:
        return None
    return PROVIDERS.get(provider) or Known(provider)


def _of_package(unit: str, package: object) -> str:
    """Return the unit's name in a price list: ``image_unit``; that of videos is plain ``unit``."""
    return unit if package in (None, "video") else f"{package}_{unit}"


def _amount(value: Property) -> Decimal | None:
    """Read an amount, which vendors write as numbers and as texts."""
    try:
        amount = Decimal(value)
    except InvalidOperation:
        return None
    if not amount.is_finite() or abs(amount.adjusted()) > _DIGITS_MAX or amount < 0:
        return None
    return amount
