"""Loading: late, offline, and never by importing or constructing."""

from __future__ import annotations

import subprocess
import sys

OFFLINE = """
import sys, threading, socket

def refuse(*args, **kwargs):
    raise AssertionError("pricing opened a socket")

socket.socket.connect = refuse
socket.getaddrinfo = refuse
"""
IMPORTED = """
from tokenmeter.pricing.pricebook import PriceBook, price_event
book = PriceBook()
assert not [name for name in sys.modules if name.split(".")[0] in ("genai_prices", "pydantic")]
"""
PRICED = """
from datetime import datetime, UTC
from tokenmeter.event import Event
usage = {"provider": "openai", "model": "gpt-4o", "input_tokens": 10}
event = Event("text_generated", "e", "c", datetime(2026, 11, 1, tzinfo=UTC), usage)
assert price_event(event, book).properties["cost_usd"] == "0.000025"
assert threading.enumerate() == [threading.main_thread()]
"""
ANOTHER_SNAPSHOT = """
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot
set_custom_snapshot(DataSnapshot(providers=[], from_auto_update=True))
assert price_event(event, PriceBook()).properties["cost_usd"] == "0.000025"
"""


def errors_of(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    return done.stderr if done.returncode else ""


def test_a_price_book_is_made_without_loading_anything() -> None:
    assert errors_of(OFFLINE + IMPORTED) == ""


def test_the_first_price_loads_the_data_without_network_or_thread() -> None:
    assert errors_of(OFFLINE + IMPORTED + PRICED) == ""


def test_prices_that_other_code_downloads_change_nothing() -> None:
    assert errors_of(OFFLINE + IMPORTED + PRICED + ANOTHER_SNAPSHOT) == ""
