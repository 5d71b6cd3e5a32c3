"""
Tell somebody that a wallet runs low: a callback, a webhook.

Messages wait in a bounded queue for one thread of their own; a call that is metered never waits
for them. What a listener raises, or a webhook does not take, is logged.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

QUEUE_ALERTS_MAX = 1_000
WEBHOOK_TIMEOUT_S = 5.0
WEBHOOK_TRIES_MAX = 4
WEBHOOK_PAUSE_S = 0.5  # before the second try; it doubles
OK_STATUS_MAX = 299
CLOSE_WAIT_S = 5.0

_logger = logging.getLogger("tokenmeter.engine")


@dataclass(frozen=True, slots=True)
class Alert:
    """What happened to a wallet: `kind` is wallet.alert or wallet.topped_up."""

    kind: str
    body: Mapping[str, Any]


Listener = Callable[[Alert], None]


class Alerts:
    """Passes alerts to listeners, in their order, in a thread of its own."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = list(listeners)
        self._queue: queue.Queue[Alert | None] = queue.Queue(QUEUE_ALERTS_MAX)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def listen(self, listener: Listener) -> None:
        """Add a listener."""
        self._listeners.append(listener)

    def send(self, alert: Alert) -> None:
        """Queue an alert; when the queue is full it is dropped, and logged."""
        if not self._listeners:
            return
        self._start()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(alert)
            return
        _logger.error("tokenmeter: an alert was dropped, %d are waiting", QUEUE_ALERTS_MAX)

    def close(self) -> None:
        """Pass on what waits, within CLOSE_WAIT_S."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        with contextlib.suppress(queue.Full):  # a listener is stuck: the thread ends with us
            self._queue.put(None, timeout=CLOSE_WAIT_S)
            thread.join(CLOSE_WAIT_S)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="tokenmeter-alerts", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        while (alert := self._queue.get()) is not None:
            for listener in self._listeners:
                try:
                    listener(alert)
                except Exception:  # a border: a listener is the user's code
                    _logger.exception("tokenmeter: a listener failed on %s", alert.kind)


class Webhook:
    """
    A listener that posts each alert as JSON: ``{"event_type": ..., "data": {...}}``.

    Tries WEBHOOK_TRIES_MAX times; an answer of 4xx other than 408 and 429 is final.
    """

    def __init__(
        self, url: str, *, timeout_s: float = WEBHOOK_TIMEOUT_S, pause_s: float = WEBHOOK_PAUSE_S
    ) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._pause_s = pause_s

    def __call__(self, alert: Alert) -> None:
        """Post an alert."""
        # httpx2 takes a while to import: opening an engine does not wait for it.
        import httpx2

        message = {"event_type": alert.kind, "data": dict(alert.body)}
        said = "no answer"
        for attempt in range(WEBHOOK_TRIES_MAX):
            if attempt:
                time.sleep(self._pause_s * 2 ** (attempt - 1))
            try:
                answer = httpx2.post(self._url, json=message, timeout=self._timeout_s)
            except httpx2.HTTPError as error:
                said = type(error).__name__
                continue
            if answer.status_code <= OK_STATUS_MAX:
                return
            said = f"HTTP {answer.status_code}"
            if 400 <= answer.status_code < 500 and answer.status_code not in {408, 429}:
                break
        _logger.error("tokenmeter: the webhook did not take %s: %s", alert.kind, said)
