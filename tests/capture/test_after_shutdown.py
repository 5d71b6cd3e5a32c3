"""Clients outlive meters: LangChain keeps them. What a meter that was shut down leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import aiohttp
import pytest

from tests.capture import wire
from tests.capture.play import LIBRARIES, Player, chunks_of
from tests.capture.taps import bedrock
from tests.capture.taps.server import Server, serving
from tests.capture.taps.sessions import session_of
from tests.capture.test_openai_lifecycle import ASK, events_of
from tokenmeter import TokenMeter

URL = "http://api.openai.com/v1/chat/completions"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
def shut(tmp_path: Path) -> TokenMeter:
    """It has a state directory, where a record after its end would wait for the next process."""
    return TokenMeter(f"sqlite:///{tmp_path / 'usage.db'}", state_dir=tmp_path / "state")


@pytest.fixture
def heir() -> Iterator[TokenMeter]:
    made = TokenMeter("memory:")
    yield made
    made.shutdown()


def left(meter: TokenMeter, tmp_path: Path) -> list[Path]:
    assert not meter.faults
    return list((tmp_path / "state" / "journal").glob("*/*"))


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda each: each.__name__)
def test_a_call_through_a_client_whose_meter_is_shut_down_leaves_nothing(
    shut: TokenMeter, tmp_path: Path, library: ModuleType
) -> None:
    client = shut.wrap(Player([wire.chat()]).client(library))
    assert shut.shutdown()
    assert client.post(URL, json=ASK).json()["id"] == "chatcmpl-1"
    assert not left(shut, tmp_path)
    assert not shut.open_exchanges


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("size", [1, 7, 400, 100_000])
@pytest.mark.parametrize("taken", [1, 3])
def test_a_stream_that_is_read_on_after_the_end_is_what_the_user_asked_for(
    shut: TokenMeter, library: ModuleType, size: int, taken: int
) -> None:
    """The event is written at once; our usage chunk is still taken out, and no byte is lost."""
    answer = wire.chat_stream()
    shown = b"".join(part for part in answer.chunks if b'"prompt_tokens"' not in part)
    answer.chunks = chunks_of(b"".join(answer.chunks), size)
    client = shut.wrap(Player([answer]).client(library))
    with client.stream("POST", URL, json={**ASK, "stream": True}) as response:
        passing = response.iter_bytes()
        got = b"".join(next(passing, b"") for _ in range(taken))
        shut.shutdown()
        assert not shut.open_exchanges
        got += b"".join(passing)
    assert got == shown


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("again", ["wrap", "instrument", "scope"])
def test_the_next_meter_takes_over_a_client_that_was_wrapped(
    shut: TokenMeter, tmp_path: Path, heir: TokenMeter, library: ModuleType, again: str
) -> None:
    client = shut.wrap(Player([wire.chat()]).client(library))
    shut.shutdown()
    if again == "wrap":
        heir.wrap(client).post(URL, json=ASK)
    else:
        heir.instrument()
        with (shut if again == "scope" else heir).attribute(customer="acme"):
            client.post(URL, json=ASK)
        heir.uninstrument()
        assert events_of(heir)[0].external_customer_id == "acme"
    assert len(events_of(heir)) == 1
    assert not left(shut, tmp_path)


async def test_so_it_is_with_async_clients(
    shut: TokenMeter, tmp_path: Path, heir: TokenMeter
) -> None:
    async with shut.wrap(Player([wire.chat()]).async_client()) as client:
        await asyncio.to_thread(shut.shutdown)
        await client.post(URL, json=ASK)
        assert not left(shut, tmp_path)
        heir.instrument()
        await client.post(URL, json=ASK)
        heir.uninstrument()
    assert len(events_of(heir)) == 1


async def test_so_it_is_with_the_other_libraries(
    shut: TokenMeter, tmp_path: Path, heir: TokenMeter, server: Server
) -> None:
    session, _ = session_of(wire.chat())
    shut.wrap(session)
    async with shut.wrap(aiohttp.ClientSession(proxy=server.url)) as asynchronous:
        with bedrock.client(server) as aws:
            shut.wrap(aws)
            await asyncio.to_thread(shut.shutdown)
            for _ in range(2):  # unmetered, then by the next meter
                session.post(URL, json=ASK)
                server.play(wire.chat())
                async with asynchronous.post(URL, json=ASK) as response:
                    await response.read()
                server.play(bedrock.converse())
                await asyncio.to_thread(aws.converse, **bedrock.ASK)
                assert not left(shut, tmp_path)
                heir.instrument()
    heir.uninstrument()
    heir.uninstrument()
    assert len(events_of(heir)) == 3
