"""TokenMeter: ties capture, journal and backend together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from tokenmeter import quoting
from tokenmeter.attribution import Run, Scope, attributed, current_scope, entered, inner_scope
from tokenmeter.capture import taps
from tokenmeter.capture.eventids import EventIds
from tokenmeter.capture.exchange import Exchange
from tokenmeter.capture.faults import Faults
from tokenmeter.capture.joining import origins
from tokenmeter.capture.known import KnownCalls
from tokenmeter.capture.metering import Metering
from tokenmeter.capture.observation import Observation, shape_of
from tokenmeter.capture.plugins import hosts_of
from tokenmeter.capture.policy import Policy, policy_of
from tokenmeter.capture.recorded import Recorded, recorded_event
from tokenmeter.capture.retries import run_id_of
from tokenmeter.capture.timing import timed
from tokenmeter.config import default_backend_url, home_of, prices_file
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Event
from tokenmeter.exits import close_all, close_with_process
from tokenmeter.jobs import Jobs
from tokenmeter.pricing.told import ToldCosts
from tokenmeter.usage import Number

if TYPE_CHECKING:
    from tokenmeter.delivery.backends import BackendSpec
    from tokenmeter.enforcement import Enforce
    from tokenmeter.engine.local import Engine
    from tokenmeter.pricing.pricebook import PriceBook
    from tokenmeter.realtime import Sessions

FLUSH_TIMEOUT_S = 5.0
EventShape = Literal["flexprice", "tokens_total"]
Client = TypeVar("Client")
Function = TypeVar("Function", bound=Callable[..., Any])


class TokenMeter:
    """
    Meters provider calls into one backend. Every public function of the package is a method.

    `backend`: a URL (``sqlite:///usage.db``, ``memory:``, ``console:``), a Backend, or several.
    `shape`: ``flexprice`` gives one event per attempt, ``tokens_total`` one per direction.
    `names` renames events. `state_dir` holds the journal (default: TOKENMETER_HOME).
    `hosts` names base URLs of your own: ``{"llm.internal:8000": "vllm"}``. `gateways`: origins
    of tokenmeter gateways; what they meter is in `run.events`, and not sent again from here.
    `durability`: ``write`` survives a killed process, ``fsync`` also a power cut.
    Raises ConfigurationError if the backend, the state directory or the price list named by
    TOKENMETER_PRICES cannot be used.
    """

    def __init__(
        self,
        backend: BackendSpec | None = None,
        *,
        policy: Policy | None = None,
        shape: EventShape = "flexprice",
        names: Mapping[str, str] | None = None,
        state_dir: str | Path | None = None,
        durability: Literal["write", "fsync"] = "write",
        hosts: Mapping[str, str] | None = None,
        gateways: Iterable[str] = (),
    ) -> None:
        from tokenmeter.delivery.facade import Delivery  # here to keep our import light

        self._prices_file = prices_file()
        if self._prices_file is not None:
            _ = self.prices  # a mistake in it is raised now
        self.policy = policy_of(policy)
        self.ids, self._faults, self._told = EventIds(), Faults(), ToldCosts()
        self.fault = self._faults.add  # counts a fault of ours, and logs it the first time
        self.shape = shape_of(self.policy.billable, names or {}, shape, self.fault)
        self.hosts, self.gateways = hosts_of(hosts), origins(gateways)
        self.key, self.known, self._instrumented, self.is_shut = object(), KnownCalls(), 0, False
        self.open_exchanges, self.closed_with = set[Exchange](), list[Callable[[float], None]]()
        spec = default_backend_url() if backend is None else backend
        home = home_of(state_dir, in_memory=spec == "memory:")
        self._delivery = Delivery(
            spec, home, resolve=self._resolve, price=self.priced, durability=durability
        )
        self.jobs, self.waits = Jobs(home, self._delivery.adopt), self._delivery.waits
        # What capture calls (capture.sink.Sink), beside `observed` below.
        self.entered, self.left = self._delivery.entered, self._delivery.left
        self.soon, self.defer = self._delivery.soon, self._delivery.defer
        close_with_process(self)

    def instrument(self) -> None:
        """Meter every known provider call of this process, whatever client makes it."""
        self._instrumented += 1
        taps.instrument(self)

    def uninstrument(self) -> None:
        """Undo `instrument()`: the HTTP libraries are as they were before."""
        if self._instrumented:
            self._instrumented -= 1
            taps.uninstrument(self)

    def wrap(self, client: Client) -> Client:
        """Meter this client only; returns the same object. Raises UnknownClientError."""
        from tokenmeter.capture.clients import wrap_client  # here to keep our import light

        wrap_client(client, lambda: taps.active_sink() if self.is_shut else self)
        return client

    @overload
    def metered(self, function: Function, /) -> Function: ...
    @overload
    def metered(self, /, **options: Unpack[Metering]) -> Callable[[Function], Function]: ...
    def metered(self, function: Any = None, /, **options: Unpack[Metering]) -> Any:
        """Decorate a function: its provider calls are metered (see `tokenmeter.metered`)."""
        from tokenmeter.capture.decorator import metered  # the decorator needs wrapt's proxies

        return metered(function, find_meter=lambda: self, **options)

    @contextlib.contextmanager
    def attribute(
        self,
        customer: str | None = None,
        feature: str | None = None,
        environment: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        enforce: Enforce | None = None,
    ) -> Generator[None]:
        """Attribute the calls made inside, in child tasks and in copied contexts."""
        scope = inner_scope(attributed(customer, feature, environment, tags), meter=self)
        if enforce is not None:
            from tokenmeter.enforcement.taps import tap_gate  # only where it is wanted

            scope.gate = tap_gate(self, enforce)
        with entered(scope):
            yield

    @contextlib.contextmanager
    def run(self, run_id: str | None = None) -> Generator[Run]:
        """Group the calls made inside as one request of your product."""
        opened = Run(run_id_of(run_id), price=self.cost_of)
        with entered(inner_scope(run=opened, meter=self)):
            yield opened

    def record(
        self,
        event_name: str,
        usage: Mapping[str, Number] | None = None,
        *,
        customer: str | None = None,
        timestamp: datetime | None = None,
        event_id: str | None = None,
        **dimensions: str | None,
    ) -> Event:
        """
        Record something that no tap sees; returns the event that was kept.

        `usage` holds numbers by metric name; every other keyword is a dimension
        (``provider="marble"``). The same `event_id` again counts once.
        """
        name, scope = self.shape.names.get(event_name, event_name), current_scope()
        recorded = Recorded(name, usage or {}, dimensions, customer, timestamp, event_id)
        event = recorded_event(recorded, scope, datetime.now(UTC))
        self.keep(event, scope)
        return event

    def read_event(
        self,
        provider: str,
        payload: object,
        *,
        session: str | None = None,
        model: str | None = None,
    ) -> Event | None:
        """
        Meter one event of a session that you read; None if it bills nothing.

        Name the `session` if one task reads several, and the `model` if no event says it.
        """
        from tokenmeter import realtime  # as above

        return realtime.read_event(self, provider, payload, session=session, model=model)

    def settle_job(self, provider: str, payload: object) -> Event | None:
        """
        Settle the job that a webhook's body, or a poll's, tells of; None if the job goes on.

        `payload` is JSON text, a dict or the SDK's object. Raises JobError for what is neither.
        """
        from tokenmeter import webhooks  # here to keep our import light

        return webhooks.settle_job(self, provider, payload)

    def timer(self, event_name: str, **dimensions: str | None) -> AbstractContextManager[None]:
        """Record how long the block took, as `time_seconds`; also if it raises."""
        return timed(self.record, event_name, dimensions)

    preview, preview_call = quoting.preview, quoting.preview_call
    preview_request = quoting.preview_request

    @property
    def backend(self) -> Any:
        """Where the events go: a `memory:` backend has a list `events`."""
        return self._delivery.backend

    @property
    def engine(self) -> Engine:
        """The local engine of a `sqlite:///` or `postgresql://` backend; see docs/billing.md."""
        engine: Engine | None = getattr(self.backend, "engine", None)
        if engine is not None:
            return engine
        raise ConfigurationError(
            "this meter has no local engine; configure(backend='sqlite:///usage.db') has one"
        )

    def flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
        """Wait until the backend has everything recorded so far; False if that takes longer."""
        return self._delivery.flush(timeout_s)

    def shutdown(self, timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
        """Deliver what is left, let go of threads and files, and of the clients it wrapped."""
        self.is_shut = True
        while self._instrumented:
            self.uninstrument()
        self.close_exchanges()
        delivered = self._delivery.close(close_all(self.closed_with, timeout_s))
        self.jobs.close()
        return delivered

    def close_exchanges(self) -> None:
        """Record the streams that nobody finished, as they stand."""
        for exchange in tuple(self.open_exchanges):
            exchange.cancelled()

    @property
    def faults(self) -> int:
        """How often we were at fault in a call of the user's, which was unharmed."""
        return self._faults.count

    def health(self) -> dict[str, Any]:
        """Say how delivery is doing, which jobs are pending, and how often we were at fault."""
        return {**self._delivery.health(), **self.jobs.health(), "faults": self.faults}

    @cached_property
    def sessions(self) -> Sessions:
        """The sessions that this meter has heard of."""
        from tokenmeter import realtime  # as above

        return realtime.Sessions()

    @cached_property
    def prices(self) -> PriceBook:
        """The price book: the lists, and the user's own rows."""
        from tokenmeter.pricing.pricebook import PriceBook  # here to keep our import light

        return PriceBook(self._prices_file)

    def cost_of(self, event: Event) -> Decimal | None:
        """Return what the provider bills for an event, in USD; None if no price is known."""
        return self.prices.cost(event)

    def cost_told(self, event: Event) -> str | None:
        """Write the same, of an event that was just kept: it is priced once, for its answer."""
        return self._told.cost(event, self.prices)

    def priced(self, event: Event) -> Event:
        """Return an event with its cost, as it reaches the backend."""
        return self._told.taken(event) or self.prices.priced(event)

    def observed(self, observation: Observation, scope: Scope | None) -> Sequence[Event]:
        """Take a closed exchange: make its events, put them in the journal, return them."""
        shape = self.shape
        if scope is not None and scope.event_name is not None:
            shape = shape.renamed(observation.call.api.event_name, scope.event_name)
        made = list(self.jobs.records(observation, self.ids, shape, datetime.now(UTC)))
        for event, record in made:
            if not observation.joined:
                self._delivery.append(record, None if "job" in record else event)
            if event is not None and scope is not None:
                scope.add(event)
        return [event for event, _ in made if event is not None]

    def keep(self, event: Event, scope: Scope | None) -> None:
        """Put an event in the journal, and in its run."""
        self._delivery.append(event.to_record(), event)
        if scope is not None:
            scope.add(event)

    def _resolve(self, record: dict[str, Any]) -> Sequence[Event]:
        """Turn a journal record into priced events; may run again for the same record."""
        event = self.jobs.resolved(record)
        return () if event is None else (self.priced(Event.from_dict(event)),)
