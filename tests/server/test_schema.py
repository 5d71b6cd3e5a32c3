"""The OpenAPI document, and what is sent by its word: no request makes the server fail."""

from __future__ import annotations

import copy
from collections.abc import Generator
from typing import Any

import httpx2
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.server.running import Server, running
from tests.server.story import catalog
from tokenmeter.engine.local import Engine
from tokenmeter.server.app import create_app

EXAMPLES = 5  # of each operation; the whole file runs within a minute


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server, None, None]:
    """One server for all examples, with one of each definition, as operations need them."""
    database = tmp_path_factory.mktemp("schema") / "usage.db"
    with running(f"sqlite:///{database}") as started:
        catalog(started)
        yield started


def document() -> dict[str, Any]:
    with Engine("sqlite:///:memory:") as engine:
        return create_app(engine).openapi()


DOCUMENT = document()
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]
SCHEMA = schemathesis.openapi.from_dict(copy.deepcopy(DOCUMENT))


def test_the_document_is_published(served: Server) -> None:
    reply = httpx2.get(f"{served.origin}/openapi.json")
    assert reply.json() == DOCUMENT
    assert reply.json()["info"]["title"] == "tokenmeter"
    names = [o["operationId"] for p in DOCUMENT["paths"].values() for o in p.values()]
    assert len(names) == len(set(names)) > 80


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_no_request_makes_the_server_fail(served: Server, path: str, method: str) -> None:
    operation = SCHEMA[path][method]
    headers = {"x-api-key": served.key}

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    def ask(case: schemathesis.Case[Any]) -> None:
        answer = case.call(base_url=served.origin, headers=headers, session=session)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400 and answer.status_code != 401:
            assert {"code", "message", "http_status_code"} <= answer.json().keys()

    with requests.Session() as session:
        ask()
