"""The store of submitted jobs, by itself; tests/capture/test_jobs.py has jobs end to end."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

from tokenmeter.delivery.jobs import JobStore


def test_a_closed_store_is_let_go_of(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.db")
    known = weakref.ref(store)
    store.close()
    del store
    gc.collect()
    assert known() is None
