"""The default meter, and the package's functions that use it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from tokenmeter.attribution import Run, attributed, entered, inner_scope
from tokenmeter.capture import taps
from tokenmeter.capture.metering import Metering
from tokenmeter.capture.policy import Policy
from tokenmeter.capture.retries import run_id_of
from tokenmeter.event import Event
from tokenmeter.meter import FLUSH_TIMEOUT_S, EventShape, TokenMeter
from tokenmeter.usage import Number

if TYPE_CHECKING:
    from tokenmeter.capture.sink import Sink
    from tokenmeter.delivery.backends import BackendSpec
    from tokenmeter.enforcement import Enforce
    from tokenmeter.pricing.quote import Quote

Client = TypeVar("Client")
Function = TypeVar("Function", bound=Callable[..., Any])

_lock = threading.Lock()
_default: list[TokenMeter] = []  # none or one
_inherits: list[TokenMeter] = []  # the default one, if only its predecessor was instrumented


def configure(
    backend: BackendSpec | None = None,
    *,
    policy: Policy | None = None,
    shape: EventShape = "flexprice",
    names: Mapping[str, str] | None = None,
    state_dir: str | Path | None = None,
    durability: Literal["write", "fsync"] = "write",
    hosts: Mapping[str, str] | None = None,
    gateways: Iterable[str] = (),
) -> TokenMeter:
    """
    Set the default meter; the arguments are TokenMeter's. Returns it.

    A default meter that was in use before is shut down, and what it watched goes over to this
    one: `instrument()` and `wrap()` may come first.
    """
    meter = TokenMeter(
        backend,
        policy=policy,
        shape=shape,
        names=names,
        state_dir=state_dir,
        durability=durability,
        hosts=hosts,
        gateways=gateways,
    )
    with _lock:
        before, _default[:] = _default[:], [meter]
    for old in before:
        if taps.is_instrumented(old):
            meter.instrument()
            _inherits[:] = [meter]
        old.shutdown()
    return meter


def default_meter() -> TokenMeter:
    """Return the default meter; made from TOKENMETER_BACKEND when first needed."""
    with _lock:
        if not _default:
            _default.append(TokenMeter())
        return _default[0]


def _meter() -> TokenMeter:
    """The meter that module-level functions mean here: that of the scope, else the default."""
    active = taps.active_sink()
    return active if isinstance(active, TokenMeter) else default_meter()


def instrument() -> None:
    """Meter every known provider call of this process, whatever client makes it."""
    meter = default_meter()
    if meter not in _inherits or not taps.is_instrumented(meter):
        meter.instrument()
    _inherits.clear()


def uninstrument() -> None:
    """Undo `instrument()`: the HTTP libraries are as they were before."""
    _inherits.clear()
    if _default:
        _default[0].uninstrument()


def wrap(client: Client) -> Client:
    """Meter this client only; returns the same object. Raises UnknownClientError."""
    from tokenmeter.capture.clients import wrap_client  # here to keep our import light

    default_meter()  # what is wrong with its settings is raised now
    wrap_client(client, _of_wrapped)
    return client


def _of_wrapped() -> Sink | None:
    """The meter of what the package's `wrap()` wrapped: the default one, whichever it is now."""
    running = [meter for meter in _default if not meter.is_shut]
    return running[0] if running else taps.active_sink()


@contextlib.contextmanager
def attribute(
    customer: str | None = None,
    feature: str | None = None,
    environment: str | None = None,
    tags: Mapping[str, str] | None = None,
    *,
    enforce: Enforce | None = None,
) -> Generator[None]:
    """
    Attribute the calls made inside, in child tasks and in copied contexts.

    `enforce`: ``"wallet"`` or ``"quota"`` refuses what the customer may not have, in the
    provider's own words (402, 429); or a function of the call (`tokenmeter.enforcement.Ask`).
    """
    if enforce is None:
        with entered(inner_scope(attributed(customer, feature, environment, tags))):
            yield
    else:
        with _meter().attribute(customer, feature, environment, tags, enforce=enforce):
            yield


@contextlib.contextmanager
def run(run_id: str | None = None) -> Generator[Run]:
    """Group the calls made inside as one request of your product."""
    opened = Run(run_id_of(run_id), price=_cost_of)
    with entered(inner_scope(run=opened)):
        yield opened


def _cost_of(event: Event) -> Any:
    return _meter().cost_of(event)


@overload
def metered(function: Function, /) -> Function: ...
@overload
def metered(**options: Unpack[Metering]) -> Callable[[Function], Function]: ...
def metered(function: Any = None, /, **options: Unpack[Metering]) -> Any:
    """
    Meter the provider calls that a function makes, and attribute them.

    Works on functions, coroutines and generators of both kinds. `customer` and `feature` are
    names, or functions of the same arguments; `environment` and `tags` are as in `attribute`.
    Where no call is seen, what the function returns is read: an SDK's response, a dict in wire
    form, or what `extract=` makes of it (metrics by name, the rest dimensions). `event_name`
    renames the events.
    """
    from tokenmeter.capture.decorator import metered as decorate  # needs wrapt's proxies

    return decorate(function, find_meter=_meter, **options)


def record(
    event_name: str,
    usage: Mapping[str, Number] | None = None,
    *,
    customer: str | None = None,
    timestamp: datetime | None = None,
    event_id: str | None = None,
    **dimensions: str | None,
) -> Event:
    """Record something that no tap sees (see TokenMeter.record)."""
    return _meter().record(
        event_name,
        usage,
        customer=customer,
        timestamp=timestamp,
        event_id=event_id,
        **dimensions,
    )


def read_event(
    provider: str, payload: object, *, session: str | None = None, model: str | None = None
) -> Event | None:
    """Meter one event of a session that you read (see TokenMeter.read_event)."""
    return _meter().read_event(provider, payload, session=session, model=model)


def preview(
    *,
    provider: str,
    model: str,
    customer: str | None = None,
    feature: str | None = None,
    **said: object,
) -> Quote:
    """
    Say what a call will cost, and what the customer will be charged for it, before it is made.

    `said` holds parameters as the provider's API names them (``size="1024x1024"``, ``n=2``,
    ``messages=[...]``, ``max_tokens=500``, ``duration=5``), with its defaults, or quantities by
    our names (``image_count=2``, ``input_tokens=1200``). Raises PreviewError for a value that
    makes no sense. Where no price is known `cost` is None and `notes` say why.
    """
    return _meter().preview(
        provider=provider, model=model, customer=customer, feature=feature, **said
    )


@overload
def preview_call(  # type: ignore[overload-overlap]  # any object may be awaitable
    function: Callable[[], Awaitable[object]] | Callable[[], AsyncIterator[object]],
    *,
    customer: str | None = None,
    feature: str | None = None,
) -> Awaitable[Quote]: ...
@overload
def preview_call(
    function: Callable[[], object], *, customer: str | None = None, feature: str | None = None
) -> Quote: ...
def preview_call(
    function: Callable[[], Any], *, customer: str | None = None, feature: str | None = None
) -> Any:
    """
    Quote the first provider call that `function` makes. It is stopped before it is sent.

    Nothing is recorded. Returns an awaitable of the quote if `function` returns an awaitable or
    an async iterator. Raises NoCallError if no call is made.
    """
    return _meter().preview_call(function, customer=customer, feature=feature)


def settle_job(provider: str, payload: object) -> Event | None:
    """Settle the job that a webhook's body tells of (see TokenMeter.settle_job)."""
    return _meter().settle_job(provider, payload)


def timer(event_name: str, **dimensions: str | None) -> AbstractContextManager[None]:
    """Record how long the block took, as `time_seconds`; also if it raises."""
    return _meter().timer(event_name, **dimensions)


def flush(timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
    """Wait until the backend has everything recorded so far; False if that takes longer."""
    return _default[0].flush(timeout_s) if _default else True


def shutdown(timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
    """Deliver what is left and let go of the default meter's threads and files."""
    with _lock:
        before, _default[:] = _default[:], []
    return all(meter.shutdown(timeout_s) for meter in before)
