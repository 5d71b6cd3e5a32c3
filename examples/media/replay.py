"""Recorded answers in place of the network, as for the examples one directory up."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from unittest import mock

from tokenmeter.cli.demo_replay import played

KEYS = {"OPENAI_API_KEY": "none", "GOOGLE_API_KEY": "none"}
ADDRESSES = ("OPENAI_BASE_URL", "GOOGLE_GEMINI_BASE_URL")


@contextmanager
def offline(cassette: str) -> Generator[None]:
    """Answer what is asked inside from cassettes/media. Leave it out: the call is a real one."""
    kept = {name: value for name, value in os.environ.items() if name not in ADDRESSES}
    environment = mock.patch.dict(os.environ, {**kept, **KEYS}, clear=True)
    with environment, played(f"media/{cassette}"):
        yield
