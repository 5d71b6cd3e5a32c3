"""TokenMeter: ties capture, journal and backend together."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeVar

from tokenmeter.attribution import Attribution, Run, Scope, current_scope, entered, inner_scope
from tokenmeter.capture import taps
from tokenmeter.capture.clients import wrap_client
from tokenmeter.capture.exchange import Exchange
from tokenmeter.capture.observation import (
    Observation,
    Shape,
    attempt_id,
    events_of,
    provider_id,
)
from tokenmeter.capture.policy import Policy
from tokenmeter.capture.recorded import Recorded, recorded_event
from tokenmeter.capture.retries import new_id
from tokenmeter.config import default_backend_url, state_directory
from tokenmeter.delivery.backends import BackendSpec
from tokenmeter.delivery.facade import Delivery
from tokenmeter.delivery.jobs import JOB_EVENT, JobStore
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Event
from tokenmeter.pricing.pricebook import PriceBook, price_event
from tokenmeter.usage import Number

log = logging.getLogger("tokenmeter")

SEEN_IDS_MAX = 65_536  # provider ids remembered, to keep two creates of one id apart
FLUSH_TIMEOUT_S = 5.0
EventShape = Literal["flexprice", "tokens_total"]
Client = TypeVar("Client")


class TokenMeter:
    """
    Meters provider calls into one backend. Every public function of the package is a method.

    `backend`: a URL (``sqlite:///usage.db``, ``memory:``, ``console:``), a Backend, or several.
    `shape`: ``flexprice`` gives one event per attempt, ``tokens_total`` one per direction.
    `names` renames events. `state_dir` holds the journal (default: TOKENMETER_HOME).
    `durability`: ``write`` survives a killed process, ``fsync`` also a power cut.
    Raises ConfigurationError if the backend or the state directory cannot be used.
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
    ) -> None:
        if shape not in {"flexprice", "tokens_total"}:
            raise ConfigurationError(
                f"shape={shape!r} is unknown; use 'flexprice' or 'tokens_total'"
            )
        self.policy = policy or Policy()
        self._shape = Shape(self.policy.billable, dict(names or {}), shape == "tokens_total")
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._faults: set[str] = set()
        self.faults = 0
        self._instrumented = 0
        self.key = object()
        self.open_exchanges: set[Exchange] = set()
        self._prices = PriceBook()
        spec = default_backend_url() if backend is None else backend
        home = Path(state_dir) if state_dir else None if spec == "memory:" else state_directory()
        self._delivery = Delivery(spec, home, resolve=self._resolve, durability=durability)
        self._jobs = JobStore(None if home is None else home / "jobs.db")
        _close_with_process(self)

    # -- turning capture on ----------------------------------------------------------------

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
        wrap_client(client, lambda: self)
        return client

    def metered(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Decorate a function: its provider calls are metered (see `tokenmeter.metered`)."""
        from tokenmeter.capture.decorator import metered  # the decorator needs wrapt's proxies

        return metered(function, find_meter=lambda: self, **options)

    # -- saying whose calls they are -------------------------------------------------------

    @contextlib.contextmanager
    def attribute(
        self,
        customer: str | None = None,
        feature: str | None = None,
        environment: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Iterator[None]:
        """Attribute the calls made inside, in child tasks and in copied contexts."""
        attribution = Attribution(customer, feature, environment, tags or {})
        with entered(inner_scope(attribution, meter=self)):
            yield

    @contextlib.contextmanager
    def run(self, run_id: str | None = None) -> Iterator[Run]:
        """Group the calls made inside as one request of your product."""
        opened = Run(run_id or new_id("run_"), price=self.cost_of)
        with entered(inner_scope(run=opened, meter=self)):
            yield opened

    # -- recording without a call ----------------------------------------------------------

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
        recorded = Recorded(event_name, usage or {}, dimensions, customer, timestamp, event_id)
        event = recorded_event(recorded, current_scope(), datetime.now(UTC))
        self._keep(event, current_scope())
        return event

    @contextlib.contextmanager
    def timer(self, event_name: str, **dimensions: str | None) -> Iterator[None]:
        """Record how long the block took, as `time_seconds`; also if it raises."""
        started = time.perf_counter()
        outcome = "failed"
        try:
            yield
            outcome = "success"
        finally:
            seconds = Decimal(f"{time.perf_counter() - started:.6f}")
            named: dict[str, Any] = {"outcome": outcome, **dimensions}
            self.record(event_name, {"time_seconds": seconds}, **named)

    # -- delivery --------------------------------------------------------------------------

    @property
    def backend(self) -> Any:
        """Where the events go: a `memory:` backend has a list `events`."""
        return self._delivery.backend

    @property
    def engine(self) -> Any:
        """The local engine of a `sqlite:///` backend."""
        engine = getattr(self.backend, "engine", None)
        if engine is None:
            raise ConfigurationError(
                "this meter has no local engine; configure(backend='sqlite:///usage.db') has one"
            )
        return engine

    def flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
        """Wait until the backend has everything recorded so far; False if that takes longer."""
        return self._delivery.flush(timeout_s)

    def shutdown(self, timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
        """Deliver what is left and let go of threads and files."""
        while self._instrumented:
            self.uninstrument()
        self.close_exchanges()
        delivered = self._delivery.close(timeout_s)
        self._jobs.close()
        return delivered

    def close_exchanges(self) -> None:
        """Record the streams that nobody finished, as they stand."""
        for exchange in tuple(self.open_exchanges):
            exchange.cancelled()

    def health(self) -> dict[str, Any]:
        """Say how delivery is doing, which jobs are pending, and how often we were at fault."""
        return {
            **self._delivery.health(),
            "jobs_pending": len(self._jobs.pending()),
            "faults": self.faults,
        }

    def cost_of(self, event: Event) -> Decimal | None:
        """Return what the provider bills for an event, in USD; None if no price is known."""
        return self._prices.price(event).cost

    # -- what capture calls (capture.exchange.Sink) ----------------------------------------

    def observed(self, observation: Observation, scope: Scope | None) -> None:
        """Take a closed exchange: make its events and put them in the journal."""
        if observation.reading.state == "pending" and observation.outcome == "success":
            self._job_opened(observation)
            return
        if _is_lost_sight(observation):
            return
        event_id, observation = self._identified(observation)
        shape = self._shape
        if scope is not None and scope.event_name:
            name = observation.call.api.event_name
            shape = replace(shape, names={**shape.names, name: scope.event_name})
        job = observation.reading.response_id if observation.call.repeated else None
        for event in events_of(observation, event_id, shape, datetime.now(UTC)):
            self._keep(event, scope, job)

    def soon(self, work: Callable[[], None]) -> None:
        """Run `work` now if it need not wait, else on another thread; safe in finalizers."""
        self._delivery.soon(work)

    def defer(self, work: Callable[[], None]) -> None:
        """Run `work` on another thread; safe in finalizers."""
        self._delivery.defer(work)

    def fault(self, error: BaseException) -> None:
        """Count a fault of ours, and log it the first time."""
        self.faults += 1
        kind = f"{type(error).__name__}: {error}"[:200]
        if kind not in self._faults and len(self._faults) < FAULT_KINDS_MAX:
            self._faults.add(kind)
            log.error("tokenmeter could not meter a call; the call is unharmed", exc_info=error)

    def _keep(self, event: Event, scope: Scope | None, job: str | None = None) -> None:
        record = event.to_dict()
        if job is not None:
            record["job"] = job
        self._delivery.append(record)
        if scope is not None and scope.run is not None:
            scope.run.add(event)

    def _job_opened(self, observation: Observation) -> None:
        if observation.call.repeated:
            return  # a poll that found the job still going on
        job_id = observation.reading.response_id or ""
        event_id = provider_id(observation.provider, job_id)
        for event in events_of(observation, event_id, self._shape, datetime.now(UTC)):
            submitted = replace(event, event_name=JOB_EVENT)
            self._delivery.append({**submitted.to_dict(), "job": job_id})
            return

    def _identified(self, observation: Observation) -> tuple[str, Observation]:
        """Choose the event id: the provider's own where it has one for all time."""
        own = attempt_id(observation.call_id, observation.attempt)
        response_id = observation.reading.response_id
        call = observation.call
        if not response_id or not call.api.owns_ids or not _is_a_thing(observation):
            return own, observation
        event_id = provider_id(call.provider, response_id)
        if call.repeated:
            return event_id, observation
        if event_id in self._seen:
            dimensions = {**observation.reading.dimensions, "id_reused": "true"}
            reading = replace(observation.reading, dimensions=dimensions)
            return own, replace(observation, reading=reading)
        self._seen[event_id] = None
        if len(self._seen) > SEEN_IDS_MAX:
            self._seen.popitem(last=False)
        return event_id, observation

    # -- what the shipper calls ------------------------------------------------------------

    def _resolve(self, record: dict[str, Any]) -> Sequence[Event]:
        """Turn a journal record into priced events; may run again for the same record."""
        job = record.get("job")
        if job is not None:
            provider = record["properties"]["provider"]
            if record["event_name"] == JOB_EVENT:
                self._jobs.opened(provider, job, record)
                return ()
            record = self._jobs.settled(provider, job, record)
        return (price_event(Event.from_dict(record), self._prices),)


def _close_with_process(meter: TokenMeter) -> None:
    """At exit, record what is still open; a forked child leaves the parent's to the parent."""
    known = weakref.ref(meter)

    def at_exit() -> None:
        alive = known()
        if alive is not None:
            alive.close_exchanges()

    def in_child() -> None:
        alive = known()
        if alive is not None:
            alive.open_exchanges.clear()

    atexit.register(at_exit)
    os.register_at_fork(after_in_child=in_child)


FAULT_KINDS_MAX = 100  # different faults that are logged; all are counted


def _is_lost_sight(observation: Observation) -> bool:
    """A poll that failed or was cancelled says nothing of its job, and nobody bills it."""
    unread = observation.reading.state not in {"success", "failed"}
    return observation.call.repeated and unread and observation.outcome != "success"


def _is_a_thing(observation: Observation) -> bool:
    """An attempt that failed has no id of its own, unless it is the end of a job."""
    return observation.outcome != "failed" or observation.call.repeated
