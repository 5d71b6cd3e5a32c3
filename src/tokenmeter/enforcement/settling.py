"""What happens after a call is put right on a thread of its own: nobody waits for it."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenmeter.capture.observation import provider_id
from tokenmeter.delivery.protocol import TransientError
from tokenmeter.errors import StoreError
from tokenmeter.event import Event

if TYPE_CHECKING:
    from tokenmeter.meter import TokenMeter

log = logging.getLogger("tokenmeter")

WAITING_MAX = 100_000  # beyond it a hold is left to expire
AGAIN_S = 2.0  # after which it is tried again, with a server or a database that is away
AGAIN_S_MAX = 300.0  # so long
EXIT_S = 5.0  # for what waits when the process ends


class Settler:
    """Runs work in order on one thread, which starts when it is first needed."""

    def __init__(self) -> None:
        self._fresh()
        os.register_at_fork(after_in_child=self._fresh)
        atexit.register(self.drain, EXIT_S)

    def _fresh(self) -> None:
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._again: deque[_Again] = deque()  # in the order in which they are due
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, work: Callable[[], None]) -> None:
        """Run `work` soon; safe from any thread."""
        if self._waiting.qsize() >= WAITING_MAX:
            log.warning("tokenmeter: too many holds wait to be settled; one is left to expire")
            return
        self._waiting.put(work)
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._run, name="tokenmeter-settler", daemon=True
                    )
                    self._thread.start()

    def drain(self, timeout_s: float) -> bool:
        """Wait until what was added is done; False if that takes longer."""
        if self._thread is None:
            return True
        done = threading.Event()
        self._waiting.put(done.set)
        return done.wait(timeout_s)

    def _run(self) -> None:
        while True:
            again = self._again
            wait_s = max(0.0, again[0].due_s - time.monotonic()) if again else None
            try:
                self._try(_Again(self._waiting.get(timeout=wait_s), 0.0, time.monotonic()))
            except queue.Empty:
                self._try(again.popleft())

    def _try(self, tried: _Again) -> None:
        try:
            tried.work()
        except (TransientError, StoreError) as error:
            now_s = time.monotonic()
            if now_s - tried.first_s < AGAIN_S_MAX and len(self._again) < WAITING_MAX:
                self._again.append(tried._replace(due_s=now_s + AGAIN_S))
            else:
                log.warning("tokenmeter: a hold could not be settled and expires: %s", error)
        except Exception as error:  # noqa: BLE001 - a border: the hold expires by itself
            log.warning("tokenmeter: a hold could not be settled and will expire: %r", error)


class _Again(NamedTuple):
    """Work, when it is due, and when it was tried first."""

    work: Callable[[], None]
    due_s: float
    first_s: float


SETTLER = Settler()
JobEnded = Callable[[Event, str], None]  # its event, and the name under which its hold is kept


def tell_of_jobs(meter: TokenMeter, ended: JobEnded) -> None:
    """Have `ended` told of the jobs whose end this process has seen, on the settler's thread."""

    def tell(record: Mapping[str, Any]) -> None:
        job = provider_id(record["properties"]["provider"], record["job"])
        SETTLER.add(lambda: ended(Event.from_dict(record), job))

    meter.jobs.ended.append(tell)
