"""`preview` and `preview_call` of a meter; what they need is loaded when they are called."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, overload

from tokenmeter.attribution import NO_ATTRIBUTION, Attribution, current_scope

if TYPE_CHECKING:
    from tokenmeter.meter import TokenMeter
    from tokenmeter.previews import HttpRequest, Previews
    from tokenmeter.pricing.quote import Quote


def preview(
    meter: TokenMeter,
    *,
    provider: str,
    model: str,
    customer: str | None = None,
    feature: str | None = None,
    **said: object,
) -> Quote:
    """Say what a call will cost and be charged (see `tokenmeter.preview`)."""
    whose = _whose(customer, feature)
    return previews_of(meter).by_keywords(provider, model, said, whose)


@overload
def preview_call(  # type: ignore[overload-overlap]  # any object may be awaitable
    meter: TokenMeter,
    function: Callable[[], Awaitable[object]] | Callable[[], AsyncIterator[object]],
    *,
    customer: str | None = None,
    feature: str | None = None,
) -> Awaitable[Quote]: ...
@overload
def preview_call(
    meter: TokenMeter,
    function: Callable[[], object],
    *,
    customer: str | None = None,
    feature: str | None = None,
) -> Quote: ...
def preview_call(
    meter: TokenMeter,
    function: Callable[[], Any],
    *,
    customer: str | None = None,
    feature: str | None = None,
) -> Any:
    """Quote the first call that a function makes, unsent (see `tokenmeter.preview_call`)."""
    from tokenmeter.previews import previewed_call  # with the price book, when it is needed

    named = Attribution(customer, feature)
    return previewed_call(function, meter, named, previews_of(meter))


def preview_request(
    meter: TokenMeter,
    request: HttpRequest,
    *,
    customer: str | None = None,
    feature: str | None = None,
) -> Quote | None:
    """Quote a request that is about to be sent on; None if it is no call that is metered."""
    return previews_of(meter).of_request(request, _whose(customer, feature))


def previews_of(meter: TokenMeter) -> Previews:
    """Return a meter's previews; made when first asked for."""
    known: Previews | None = vars(meter).get(_MADE)
    if known is None:
        from tokenmeter.previews import Previews  # with the price book, when it is needed

        engine = getattr(meter.backend, "engine", None)
        known = vars(meter)[_MADE] = Previews(
            meter.prices, engine, meter.hosts, meter.known.previewed, shape=meter.shape
        )
    return known


_MADE = "_previews"


def _whose(customer: str | None, feature: str | None) -> Attribution:
    """Return whose call it is: as named, else as the scope around says."""
    scope = current_scope()
    named = NO_ATTRIBUTION if customer is feature is None else Attribution(customer, feature)
    return named if scope is None else scope.attribution.under(named)
