"""Holds and charges by a server's API: `tokenmeter serve`, where the engine is not in process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode

from tokenmeter.capture.retries import new_id
from tokenmeter.delivery.flexprice.account import Account
from tokenmeter.delivery.flexprice.session import Answer, NotSentError, Session
from tokenmeter.delivery.protocol import TransientError
from tokenmeter.enforcement.settling import SETTLER
from tokenmeter.errors import TokenmeterError
from tokenmeter.event import Event
from tokenmeter.money import Money

CONNECTIONS_MAX = 64
FAILURES_MAX = 3  # in a row; then the server is left alone for DOWN_S
DOWN_S = 1.0
OK_MAX = 299
NOT_FOUND, INVALID = 404, 400


class NoWalletError(TokenmeterError, LookupError):
    """The server knows no wallet of this customer."""


class HoldRefusedError(TokenmeterError):
    """The server refuses the hold: the money does not fit."""

    code = "invalid_operation"


class ClosedError(TokenmeterError):
    """The meter is shut down; a hold that is open expires by itself."""


@dataclass(frozen=True, slots=True)
class RemoteHold:
    """Money that a server has reserved."""

    id: str
    amount: Decimal
    currency: str


class RemoteDesk:
    """
    A server's hold routes, as `enforcement.wallet` asks them.

    A server that does not answer in time is a TransientError; after a few in a row it is left
    alone for a moment, so that calls are decided about at once. A hold that may have been made
    all the same is given back when the server answers again.
    """

    def __init__(self, account: Account) -> None:
        self._session = Session(account, connections_max=CONNECTIONS_MAX)
        self._lock = threading.Lock()
        self._closed = False
        self._failures = 0
        self._down_until_s = 0.0

    def hold(
        self,
        customer: str,
        amount: Decimal,
        expires_s: float,
        reference: str,
        *,
        currency: str,
        events: Sequence[Event] = (),
    ) -> RemoteHold:
        """Reserve money; NoWalletError, HoldRefusedError or TransientError."""
        hold_id = new_id("hold_")
        asked = {
            "id": hold_id,
            "external_customer_id": customer,
            "amount": format(amount, "f"),
            "expires_s": str(expires_s),
            "reference": reference,
            "currency": currency,
        }
        try:
            known = {name: text for name, text in asked.items() if text}
            self._post("/holds", {**known, **_sent(events)})
        except NotSentError:
            raise
        except TransientError:
            SETTLER.add(lambda: self._forget(hold_id))
            raise
        return RemoteHold(hold_id, amount, currency)

    def settle(
        self, hold_id: str, amount: Decimal, *, reference: str = "", events: Sequence[Event] = ()
    ) -> None:
        """Say what the call cost."""
        said = {"amount": format(amount, "f"), **({"reference": reference} if reference else {})}
        self._post(f"/holds/{hold_id}/settle", {**said, **_sent(events)})

    def void(self, hold_id: str) -> None:
        """Give back what was held."""
        self._post(f"/holds/{hold_id}/void", {})

    def keep(self, hold_id: str, reference: str) -> None:
        """Have an open hold known by another reference from now on."""
        self._post(f"/holds/{hold_id}/keep", {"reference": reference})

    def waiting(self, customer: str, reference: str) -> list[RemoteHold]:
        """List the open holds of a customer under a reference, the oldest first."""
        asked = urlencode({"external_customer_id": customer, "reference": reference})
        found = self._ask("GET", f"/holds?{asked}").get("items")
        return [_hold(item) for item in found] if isinstance(found, list) else []

    def __call__(self, event: Event) -> Money | None:
        """Tell what one more event adds to what its customer owes; see pricing.quote.Charger."""
        return self.many([event])[0]

    def many(self, events: Sequence[Event]) -> list[Money | None]:
        """The same for several events, in one request."""
        answer = self._post("/charges", _sent(events))
        charges = answer.get("charges")
        if not isinstance(charges, list) or len(charges) != len(events):
            raise TransientError("the server tells no charges; is it a tokenmeter server?")
        return [_money(charge) for charge in charges]

    def close(self, timeout_s: float) -> None:
        """Settle what waits, and close the connections; what is left expires by itself."""
        SETTLER.drain(timeout_s)
        self._closed = True
        self._session.close()

    def _forget(self, hold_id: str) -> None:
        """Give a hold back that was perhaps made; the server may still be about to make it."""
        try:
            self.void(hold_id)
        except NoWalletError as error:
            raise TransientError(str(error)) from error

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("POST", path, json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        if self._closed:
            raise ClosedError
        if time.monotonic() < self._down_until_s:
            raise NotSentError("the server did not answer a moment ago")
        try:
            answer = self._session.call(method, path, body)
            self._check(answer)
        except TransientError:
            self._failed()
            raise
        self._failures = 0
        found: object = answer.json()
        if not isinstance(found, dict):
            raise TransientError("the server does not answer in JSON; is the address right?")
        return found

    def _failed(self) -> None:
        with self._lock:
            self._failures += 1
            if self._failures >= FAILURES_MAX:
                self._failures, self._down_until_s = 0, time.monotonic() + DOWN_S

    def _check(self, answer: Answer) -> None:
        if answer.status <= OK_MAX:
            return
        code, message = _told(answer)
        if answer.status == NOT_FOUND and code == "not_found" and message != "Not Found":
            raise NoWalletError(message)
        if answer.status == INVALID and code == "invalid_operation":
            raise HoldRefusedError(message)
        raise TransientError(answer.reason())


def _told(answer: Answer) -> tuple[str, str]:
    found: object = answer.json()
    fields: dict[str, Any] = found if isinstance(found, dict) else {}
    return str(fields.get("code", "")), str(fields.get("message", ""))


def _sent(events: Sequence[Event]) -> dict[str, Any]:
    return {"events": [event.to_dict() for event in events]} if events else {}


def _hold(item: dict[str, Any]) -> RemoteHold:
    return RemoteHold(item["id"], Decimal(str(item["amount"])), item["currency"])


def _money(charge: object) -> Money | None:
    if charge is None:
        return None
    try:
        fields: dict[str, Any] = charge if isinstance(charge, dict) else {}
        return Money(Decimal(str(fields["amount"])), str(fields["currency"]))
    except (KeyError, InvalidOperation) as error:
        raise TransientError("the server's charges cannot be read") from error
