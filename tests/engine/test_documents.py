from __future__ import annotations

from dataclasses import replace

import pytest

from tokenmeter.engine.errors import AlreadyExistsError, NotFoundError, VersionConflictError
from tokenmeter.engine.local import Engine
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.engine.store.protocol import Store

ON_BOTH_DATABASES = True


@pytest.fixture
def store(engine: Engine) -> Store:
    return engine._store


def plan(name: str, **more: object) -> Document:
    fields = {"lookup_key": name, "created_us": 1, **more}
    return Document("plan", f"plan_{name}", {"name": name, "amount": "0.10"}, **fields)  # type: ignore[arg-type]


def test_a_document_comes_back_as_it_was_kept(store: Store) -> None:
    with store.writing() as connection:
        kept = Documents(connection, "prod").insert(plan("pro", parent="x"))
    with store.reading() as connection:
        documents = Documents(connection, "prod")
        assert documents.get("plan", "plan_pro") == kept == replace(kept, environment="prod")
        assert documents.by_lookup_key("plan", "pro") == kept
        assert documents.find("price", "plan_pro") is None


def test_one_environment_never_sees_another(store: Store) -> None:
    with store.writing() as connection:
        Documents(connection, "prod").insert(plan("pro"))
        other = Documents(connection, "test")
        assert other.find("plan", "plan_pro") is None
        assert other.by_lookup_key("plan", "pro") is None
        assert other.list("plan").total == 0
        assert list(other.all("plan")) == []
        with pytest.raises(NotFoundError, match="no plan 'plan_pro'"):
            other.replace(plan("pro"))
        other.insert(replace(plan("pro"), environment="prod"))  # its own, whatever it says
        assert other.get("plan", "plan_pro").environment == "test"


def test_a_lookup_key_is_taken_once_among_the_published(store: Store) -> None:
    with store.writing() as connection:
        documents = Documents(connection)
        first = documents.insert(plan("pro"))
        again = replace(plan("pro"), id="plan_2")
        with pytest.raises(AlreadyExistsError, match="plan 'pro' exists already"):
            documents.insert(again)
        documents.replace(replace(first, status="archived"))
        documents.insert(again)
        documents.insert(replace(again, kind="price"))
        assert [d.id for d in documents.list("plan").items] == ["plan_2"]
        assert documents.list("plan", status=None).total == 2
        with pytest.raises(AlreadyExistsError):  # the key is another's now
            documents.replace(replace(documents.get("plan", first.id), status="published"))


def test_of_two_changes_of_one_version_the_second_is_refused(store: Store) -> None:
    with store.writing() as connection:
        documents = Documents(connection)
        first = documents.insert(plan("pro"))
        second = documents.replace(replace(first, body={"name": "new"}))
        assert (second.version, documents.get("plan", first.id).body) == (2, {"name": "new"})
        with pytest.raises(VersionConflictError):
            documents.replace(replace(first, body={"name": "lost"}))
        assert documents.get("plan", first.id) == second


def test_lists_come_in_pages_in_a_stated_order(store: Store) -> None:
    with store.writing() as connection:
        documents = Documents(connection)
        for at, name in enumerate("abcd"):
            documents.insert(plan(name, created_us=at // 2, parent="p" if at else "q"))
        page = documents.list("plan", limit=3)
        assert ([d.lookup_key for d in page.items], page.total) == (["d", "c", "b"], 4)
        rest = documents.list("plan", limit=3, offset=3)
        assert [d.lookup_key for d in rest.items] == ["a"]
        ascending = documents.list("plan", sort="lookup_key", order="asc", parent="p")
        assert [d.lookup_key for d in ascending.items] == ["b", "c", "d"]
        some = documents.list("plan", equal={"id": ["plan_a", "plan_d", "none", "a\x00"]})
        assert [d.lookup_key for d in some.items] == ["d", "a"]
        assert [d.lookup_key for d in documents.all("plan", parent="p")] == ["b", "c", "d"]
