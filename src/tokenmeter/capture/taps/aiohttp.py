"""The tap for aiohttp: `aiohttp.ClientSession._request`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tokenmeter.capture.exchange import Exchange
from tokenmeter.capture.sink import Sink
from tokenmeter.capture.taps import guard
from tokenmeter.capture.taps.aiohttp_body import watched
from tokenmeter.capture.taps.answer import Answer
from tokenmeter.capture.taps.httpx import FindSink
from tokenmeter.capture.taps.outgoing import (
    body_bytes,
    edited_body,
    failed,
    open_once,
    plain_fields,
    split_url,
)
from tokenmeter.providers.base import Json
