"""Every recorded exchange, its URL written as servers take it to be the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import SplitResult, urlsplit, urlunsplit

import pytest

from tests.capture.expect import check
from tests.capture.play import Answer, Player
from tests.corpus import CORPUS, load
from tokenmeter import TokenMeter
from tokenmeter.providers.paths import regular

SPELLINGS: dict[str, Callable[[SplitResult], SplitResult]] = {
    "a slash at the end": lambda url: url._replace(path=url.path + "/"),
    "doubled slashes": lambda url: url._replace(path=url.path.replace("/", "//")),
    "a colon in an escape": lambda url: url._replace(path=url.path.replace(":", "%3a")),
    "a host in capitals": lambda url: url._replace(netloc=url.netloc.upper()),
    "the usual port": lambda url: url._replace(netloc=f"{url.hostname}:443"),
    "a full name": lambda url: url._replace(netloc=f"{url.hostname}."),
    "a name and a password": lambda url: url._replace(netloc=f"u:p@{url.netloc}"),
    "a query of one's own": lambda url: url._replace(query=f"{url.query}&x=/a:b".strip("&")),
}


@pytest.fixture(scope="module")
def meter() -> Iterator[TokenMeter]:
    made = TokenMeter("memory:")
    made.instrument()
    yield made
    made.shutdown()


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus at {CORPUS}")
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_call_is_metered_however_its_url_is_spelled(meter: TokenMeter, spelling: str) -> None:
    for exchange in load():
        answer = Answer(exchange.response["status"], exchange.response["headers"], [exchange.body])
        url = urlunsplit(SPELLINGS[spelling](urlsplit(exchange.url)))
        with meter.run() as run, Player([answer]).client() as client:
            client.request(
                exchange.request["method"],
                url,
                headers=exchange.request["headers"],
                content=exchange.request_body,
            )
        try:
            check(exchange, run.events)
        except AssertionError as error:
            raise AssertionError(f"{url}: {error}") from error


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ("/v1/messages", "/v1/messages"),
        ("//v1///messages//", "/v1/messages"),
        ("/v1/models/m%3AgenerateContent", "/v1/models/m:generateContent"),
        ("/a%2Fb", "/a%2Fb"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_a_path_has_one_spelling(sent: str, path: str) -> None:
    assert regular(sent) == path
    assert regular(regular(sent)) == path
