"""One environment never sees another's data."""

from __future__ import annotations

import pytest

from tests.server.running import Server
from tests.server.story import catalog

ON_BOTH_DATABASES = True


def test_an_environment_sees_none_of_anothers_definitions(server: Server) -> None:
    made = catalog(server)
    other = server.client("staging")
    for path, body in made.items():
        assert other.get(path).body["pagination"]["total"] == 0, path
        assert other.post(f"{path}/search", {}).body["items"] == []
        for answer in (
            other.get(f"{path}/{body['id']}"),
            other.put(f"{path}/{body['id']}", {"name": "mine", "metadata": {"a": "b"}}),
            other.delete(f"{path}/{body['id']}"),
        ):
            assert answer.status == 404, (path, answer)
        assert server.get(f"{path}/{body['id']}").status == 200


def test_the_same_keys_may_be_used_in_every_environment(server: Server) -> None:
    assert catalog(server).keys() == catalog(server.client("staging")).keys()


@pytest.mark.parametrize("path", ["/customers/external/cust_001", "/prices/lookup/dalle3_std"])
def test_a_lookup_key_is_of_its_environment(server: Server, path: str) -> None:
    catalog(server)
    assert server.get(path).status == 200
    assert server.client("staging").get(path).status == 404
