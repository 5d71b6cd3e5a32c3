"""Events to Flexprice's cloud, or to any server that speaks its API."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenmeter.attribution import UNATTRIBUTED
from tokenmeter.delivery.backends import backend_name
from tokenmeter.delivery.flexprice.account import Account, account
from tokenmeter.delivery.flexprice.session import Answer, Session
from tokenmeter.delivery.flexprice.wire import BODY_BYTES_MAX, EVENTS_MAX, bodies
from tokenmeter.delivery.protocol import Receipt, RefusedError, Rejection, TransientError
from tokenmeter.event import Event

BULK = "/events/bulk"
STOP_S = 300.0  # between two tries once the key is refused
STOP_FILE_S = 15.0  # ... if the key is in a file, which may be replaced any time
BODY_BYTES_MIN = 16 * 1024  # a 413 of less says nothing of the length
ASTRAY_S = 60.0  # between two tries once something else than Flexprice answers

TOO_LARGE = 413
_REFUSED = frozenset({400, TOO_LARGE, 422})
_BUSY = frozenset({408, 425, 429})
_HELD = "nobody is named as its customer; it is held back until it is attributed"


class FlexpriceBackend:
    """
    ``FlexpriceBackend("flexprice://us", api_key="...")``: bulk requests over one pool.

    A batch that is refused (400, 413) raises RefusedError, and is split until the bad event is
    alone; after a 413, bodies are half as long until a longer one is taken. A refused key (401,
    403) stops delivery, and the events stay in the journal. What has no customer is held back.
    """

    batch_events_max = EVENTS_MAX

    def __init__(
        self,
        url: str = "flexprice://us",
        api_key: str | None = None,
        *,
        key_file: str | Path | None = None,
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        self.account: Account = account(url, api_key, Path(key_file) if key_file else None)
        self.key_accepted: bool | None = None  # as the last answer said
        self.reachable: bool | None = None
        self._session = Session(self.account)
        self._body_bytes_max = body_bytes_max
        self._too_long: int | None = None  # the shortest body of several events that was a 413

    def __repr__(self) -> str:
        return f"FlexpriceBackend({self.account.base_url!r})"

    @property
    def name(self) -> str:
        """The name under which delivery remembers it: the server, not the key."""
        return backend_name(f"flexprice+{self.account.base_url}")

    def send(self, events: Sequence[Event]) -> Receipt:
        """Send what has a customer, 1,000 events at a time, each with its own id and time."""
        held = [e for e in events if e.external_customer_id == UNATTRIBUTED]
        ready = [e for e in events if e.external_customer_id != UNATTRIBUTED] if held else events
        rejected = [Rejection(event.event_id, _HELD, held=True) for event in held]
        parts = bodies(ready, self.account.unbilled_suffix, bytes_max=self._bytes_max)
        taken: list[Event] = []
        for part, body in parts:
            try:
                refused = self._post(part, body)
            except (RefusedError, TransientError) as error:
                error.taken = tuple(taken)
                raise
            taken += () if refused else part
            rejected += refused
        return Receipt(len(events) - len(rejected), tuple(rejected))

    def check(self) -> dict[str, Any]:
        """Ask the server whether it is there and takes our key, without sending an event."""
        try:
            with contextlib.suppress(RefusedError):  # an empty batch is, by whom takes the key
                self._accept(self._call(b'{"events":[]}'))
        except TransientError as error:
            return {**self.health(), "error": str(error)}
        self.key_accepted = True
        return self.health()

    def health(self) -> dict[str, Any]:
        """Say what the last answer showed; None where there was none yet."""
        return {
            "server": self.account.base_url,
            "reachable": self.reachable,
            "key_accepted": self.key_accepted,
            "clock_skew_s": self._session.clock_skew_s,
        }

    def before_fork(self) -> None:
        """Close the connections, which a child must not share."""
        self._session.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _post(self, events: Sequence[Event], body: bytes) -> list[Rejection]:
        answer = self._call(body)
        try:
            self._accept(answer)
        except RefusedError as error:
            if len(events) > 1:
                if answer.status == TOO_LARGE:
                    self._too_long = min(len(body), self._too_long or len(body))
                raise
            return [Rejection(events[0].event_id, str(error))]
        self.key_accepted = True
        if self._too_long is not None and len(body) >= self._too_long:
            self._too_long = None  # it was not the length
        return []

    @property
    def _bytes_max(self) -> int:
        if self._too_long is None:
            return self._body_bytes_max
        return min(self._body_bytes_max, max(self._too_long // 2, BODY_BYTES_MIN))

    def _call(self, body: bytes) -> Answer:
        try:
            answer = self._session.call("POST", BULK, body)
        except TransientError:
            self.reachable = False
            raise
        self.reachable = True
        return answer

    def _accept(self, answer: Answer) -> None:
        """Return if the server took the events; else raise what to do about it."""
        status = answer.status
        if answer.took_events:
            return
        if status in _REFUSED:
            raise RefusedError(answer.reason())
        if status in {401, 403}:
            self._stop(answer)
        if status in _BUSY or status >= 500:
            raise TransientError(answer.reason(), retry_after_s=answer.retry_after_s)
        raise TransientError(
            f"{self.account.base_url} does not answer as Flexprice does; is the address right? "
            f"({answer.reason()})",
            retry_after_s=max(answer.retry_after_s or 0.0, ASTRAY_S),
        )

    def _stop(self, answer: Answer) -> None:
        self.key_accepted = False
        wait_s = STOP_S if self.account.key else STOP_FILE_S
        raise TransientError(
            f"{self.account.base_url} refuses the API key ({answer.reason()}); "
            "nothing is sent until it accepts it, and the events stay in the journal",
            retry_after_s=wait_s,
        )
