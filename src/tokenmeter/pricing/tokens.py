"""
Token prices: genai-prices' data, looked up once per model and time, priced by our own walk.

genai-prices is imported on first use (0.3 s), in the thread that prices. Its data is the bundled
one: its updater is never started, and a snapshot that other code sets is not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from functools import cache, cached_property, lru_cache
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from tokenmeter.event import Event, Property
from tokenmeter.pricing import names
from tokenmeter.pricing.card import Card, UsageError, total
from tokenmeter.pricing.gaps import fill, unrated
from tokenmeter.pricing.priced import Priced
from tokenmeter.pricing.tariff import Tariff, Terms
from tokenmeter.usage import METRICS

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

TARIFFS_MAX = 4096  # combinations of model and terms that are kept looked up
METRICS_NAMED_MAX = 8  # in one reason
# The properties of an event that an Ask holds, in its order.
_ASKED = (
    *("provider", "model", "request_model", "model_type"),
    *("service_tier", "speed", "inference_geo", "operation", "web_search"),
    "inference_provider",
)
_ONE = Decimal(1)
NO_LIST = "no token price list for provider"  # the beginning of a reason
NO_USAGE = "no usage was reported"


class Ask(NamedTuple):
    """What of an event selects its prices; as found in the properties, so of any type."""

    provider: Property | None
    model: Property | None
    request_model: Property | None
    model_type: Property | None
    tier: Property | None
    speed: Property | None
    geo: Property | None
    operation: Property | None
    search: Property | None
    host: Property | None  # that a router handed the call to


class TokenPrices:
    """The token price list; construction is free, the first price loads it."""

    def __init__(self) -> None:
        self._tariff = lru_cache(maxsize=TARIFFS_MAX)(self._find)

    @cached_property
    def version(self) -> str:
        """The price book's name, as events carry it: ``genai-prices-0.2.3``."""
        from genai_prices import __version__  # here to keep our import light

        return f"genai-prices-{__version__}"

    @cached_property
    def book(self) -> Book:
        """genai-prices' data, loaded when first asked for, once in a process."""
        return _book()

    def tariff(self, facts: Mapping[str, Property]) -> Tariff | str:
        """Return the rates of the model that an event names, or the reason why there are none."""
        asked = [*map(facts.get, _ASKED)]
        try:
            return self._tariff(*asked)
        except TypeError:  # a value that cannot be a key
            return self._find(*asked)

    def price(self, event: Event) -> Priced:
        """Price the tokens, searches, characters or seconds of an event, or say why not."""
        facts = event.properties
        found = self.tariff(facts)
        if isinstance(found, str):
            return Priced(None, self.version, found)
        return self.by_card(found.card(event.timestamp), facts, event.event_name)

    def by_card(self, card: Card, facts: Mapping[str, Property], event_name: str) -> Priced:
        """Price a usage by the rates of a card, or say why not."""
        usage, notes = fill(facts, event_name, card)
        try:
            parts = card.parts(usage)
        except UsageError as error:
            return Priced(None, self.version, str(error))
        amount = total(parts)
        # What is free and what has no rate are not the same: 0 tokens and 2 images are unpriced.
        if not parts or (not amount and unrated(facts, card)):
            return Priced(None, self.version, _nothing_priced(facts, card))
        reason = "; ".join((*card.notes, *notes)) if notes or card.notes else None
        return Priced(amount, self.version, reason, tuple(parts), card.model)

    def _find(self, *asked: Property | None) -> Tariff | str:
        """Return the tariff for the fields of an Ask, or the reason why there is none."""
        ask = Ask(*asked)
        provider, tier = _text(ask.provider), _text(ask.tier)
        refs = _refs(ask)
        if provider is None:
            return "the event names no provider"
        if not refs:
            return names.UNTOLD.get(str(ask.operation), "the event names no model")
        if names.prepaid(provider, tier):
            return f"service tier {tier} is paid by commitment, not per call"
        return self.book.tariff(provider, refs, ask)


class Book:
    """genai-prices' providers and units, indexed."""

    def __init__(self) -> None:
        # Imported here: it takes 0.3 s, and `import tokenmeter` must not.
        from genai_prices.data import providers
        from genai_prices.data_units import unit_data
        from genai_prices.units import UnitRegistry

        self._all = providers
        self._providers = {provider.id: provider for provider in providers}
        self._units = {unit.price_key: unit for unit in UnitRegistry(unit_data).units.values()}

    def tariff(self, name: str, refs: list[str], ask: Ask) -> Tariff | str:
        """Find the first model reference that this provider's price list knows."""
        provider = self._provider(name, refs, ask)
        if provider is None:
            return f"{NO_LIST} {name!r}"
        if name in names.ROUTERS:
            refs = [ref.partition(":")[0] for ref in refs]
        for ref in refs:
            model = provider.find_model(ref, all_providers=self._all)
            if model is not None:
                terms = _terms(ask, provider, model)
                if not refs[0].endswith(ref):  # "models/gemini-2.5-pro" names the same model
                    named = f"{refs[0]} is not in the price book: priced as {ref}"
                    terms = replace(terms, notes=(named, *terms.notes))
                return Tariff(model, terms, self._units)
        return f"no token price for {refs[0]!r} of provider {name!r}"

    def _provider(self, name: str, refs: list[str], ask: Ask) -> Provider | None:
        """Return who lists the prices; of a router it is the host that answered, or was asked."""
        prefix = names.ROUTERS.get(name)
        if prefix is None:
            return self._providers.get(names.PROVIDERS.get(name, name))
        told = _text(ask.host)
        hosts = [told] if told else [ref.rpartition(":")[2] for ref in refs if ":" in ref]
        return next((self._providers.get(prefix + host) for host in hosts), None)


@cache
def _book() -> Book:
    return Book()


def _refs(ask: Ask) -> list[str]:
    """
    Return the names to look a model up by: the served, the asked, the canonical one.

    The canonical name of a fine-tuned model is its base, which is cheaper: not a name for it.
    A global profile of Bedrock is the cheaper one, and only the name that was asked for says so.
    """
    refs = [_text(ref) for ref in (ask.model, ask.request_model, ask.model_type)]
    if (refs[1] or "").startswith(names.GLOBAL_PROFILE):
        refs[0], refs[1] = refs[1], refs[0]
    known = list(dict.fromkeys(ref for ref in refs if ref))
    tuned = [ref for ref in known if ref.startswith(names.FINE_TUNED)]
    return tuned or known


def _terms(ask: Ask, provider: Provider, model: ModelInfo) -> Terms:
    batch = names.is_batch(_text(ask.operation))
    asked = names.price_context("batch" if batch else _text(ask.tier), _text(ask.speed))
    known = [variant.when for variant in model.price_variants or ()]
    context, notes = names.same_rates(provider.id, asked, known)
    factors = names.factors(provider.id, model.id, asked, _text(ask.geo), in_book=asked in known)
    context = {key: value for key, value in context.items() if f"{key}={value}" not in factors}
    return Terms(
        context=context,
        variants=any(model is own for own in provider.models),
        factor=prod(factors.values(), start=_ONE) if factors else None,
        seconds_min=names.SECONDS_MIN.get((provider.id, model.id), 0),
        grounded_once="processing" not in asked and names.grounded_once(provider.id, model.id),
        by_the_piece=names.rates_by_the_piece(
            _text(ask.provider) or "",
            model.id if provider.id == "google" else _text(ask.model) or model.id,
            _text(ask.search),
        ),
        notes=(*notes, *(f"{term}: token rates x {by}" for term, by in factors.items())),
    )


def _nothing_priced(facts: Mapping[str, Property], card: Card) -> str:
    used = (name for name in facts if name in METRICS and not isinstance(facts[name], str))
    reported = unrated(facts, card) or [name for name in used if name != "request_count"]
    if not reported:
        return NO_USAGE
    return f"{card.model} has no rate for {', '.join(sorted(reported)[:METRICS_NAMED_MAX])}"


def _text(value: Property | None) -> str | None:
    return value if isinstance(value, str) and value else None
