"""Whose call a decorated function makes: names, functions of its arguments, methods."""

from __future__ import annotations

import asyncio
import functools
import warnings
from typing import Any

import openai
import pytest

import tokenmeter
from tests.capture import wire
from tests.capture.play import Answer, Player
from tests.capture.test_decorator import quiet as quiet  # the fixture
from tests.capture.test_openai_lifecycle import ASK, events_of, only
from tokenmeter import TokenMeter


@pytest.fixture
def default() -> Any:
    """The default meter, which the package's own functions use."""
    yield tokenmeter.configure("memory:")
    tokenmeter.shutdown()


def client_of(*answers: Answer) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", http_client=Player(list(answers)).client(), max_retries=0)


def called(client: openai.OpenAI) -> str:
    return str(client.chat.completions.create(**ASK).id)


def customers(meter: TokenMeter) -> list[str]:
    assert not meter.faults
    return [event.external_customer_id for event in events_of(meter)]


def test_customer_and_feature_are_functions_of_the_calls_arguments(quiet: TokenMeter) -> None:
    client = client_of(wire.chat())

    @quiet.metered(customer=user_of, feature=kind_of)
    def ask(user: str, *, kind: str = "chat") -> str:
        return called(client)

    ask("ann")
    ask("bob", kind="search")
    ask(user="eve", kind="x")
    assert customers(quiet) == ["ann", "bob", "eve"]
    features = [event.properties["feature"] for event in events_of(quiet)]
    assert features == ["chat", "search", "x"]


def user_of(user: str, **_: object) -> str:
    return user


def kind_of(user: str, *, kind: str = "chat") -> str:
    return kind


def tenant_and_user(self: Service, user: str) -> str:
    return f"{self.tenant}/{user}"


def class_and_user(cls: type[Service], user: str) -> str:
    return f"{cls.__name__}/{user}"


def tenant_of(self: Service) -> str:
    return self.tenant


class Service:
    """Every kind of method, decorated; each makes a call and says who it is."""

    def __init__(self, tenant: str, client: openai.OpenAI) -> None:
        self.tenant = tenant
        type(self).client = client

    client: openai.OpenAI

    @tokenmeter.metered(customer=tenant_and_user)
    def of_self(self, user: str) -> str:
        return f"{self.tenant} {called(self.client)} {user}"

    @tokenmeter.metered(customer=user_of)
    def of_arguments(self, user: str) -> str:
        return f"{self.tenant} {called(self.client)} {user}"

    @staticmethod
    @tokenmeter.metered(customer=user_of)
    def static(user: str) -> str:
        return f"{user} {called(Service.client)}"

    @classmethod
    @tokenmeter.metered(customer=class_and_user)
    def of_class(cls, user: str) -> str:
        return f"{cls.__name__} {called(cls.client)} {user}"

    @tokenmeter.metered(customer=user_of)
    @staticmethod
    def over_static(user: str) -> str:
        return f"{user} {called(Service.client)}"

    @tokenmeter.metered(customer=user_of)
    @classmethod
    def over_class(cls, user: str) -> str:
        return f"{cls.__name__} {called(cls.client)} {user}"

    @property
    @tokenmeter.metered(customer=tenant_of)
    def read(self) -> str:
        return f"{self.tenant} {called(self.client)}"

    @tokenmeter.metered(customer=tenant_of)
    def __call__(self) -> str:
        return f"{self.tenant} {called(self.client)}"


def test_methods_of_every_kind_are_metered_and_stay_methods(default: TokenMeter) -> None:
    service = Service("acme", client_of(wire.chat()))
    over_static: Any = service.over_static
    over_class: Any = Service.over_class
    said = [
        service.of_self("ann"),
        Service.of_self(service, "ann"),
        service.of_arguments("bob"),
        service.static("eve"),
        Service.static("eve"),
        service.of_class("joe"),
        Service.of_class("joe"),
        over_static("kim"),
        over_class("lee"),
        service.read,
        service(),
    ]
    assert [text.split()[0] for text in said] == [
        *("acme", "acme", "acme", "eve", "eve", "Service", "Service", "kim", "Service"),
        *("acme", "acme"),
    ]
    assert customers(default) == [
        *("acme/ann", "acme/ann", "bob", "eve", "eve", "Service/joe", "Service/joe"),
        *("kim", "lee", "acme", "acme"),
    ]


def test_anything_that_can_be_called_can_be_decorated(quiet: TokenMeter) -> None:
    client = client_of(wire.chat())

    def ask(user: str) -> str:
        return f"{user} {called(client)}"

    class Callable:
        def __call__(self, user: str) -> str:
            return ask(user)

    several: list[Any] = [functools.partial(ask), Callable(), functools.lru_cache(ask), str.strip]
    for function in several:
        assert quiet.metered(customer=user_of)(function)("ann").startswith("ann")
    assert customers(quiet) == ["ann"] * 4


def test_a_customer_function_that_raises_leaves_the_call_unattributed_and_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    meter = TokenMeter("memory:")
    client = client_of(wire.chat())

    def broken(user: Any) -> str:
        return str(user.no_such_attribute)

    @meter.metered(customer=broken, feature="chat")
    def ask(user: str) -> str:
        return f"{user} {called(client)}"

    for _ in range(3):
        assert ask("ann").startswith("ann")
    assert meter.faults == 3
    assert [r.levelname for r in caplog.records if r.name == "tokenmeter"] == ["ERROR"]
    for event in events_of(meter):
        assert event.external_customer_id == "unattributed"
        assert event.properties["feature"] == "chat"
    meter.shutdown()


@pytest.mark.parametrize(("named", "customer"), [(None, "outer"), ("", "outer"), (42, "42")])
def test_a_name_may_be_left_to_the_scope_outside_and_need_not_be_text(
    quiet: TokenMeter, named: Any, customer: str
) -> None:
    client = client_of(wire.chat())

    @quiet.metered(customer=lambda: named, tags=None)
    def ask() -> str:
        return called(client)

    with quiet.attribute(customer="outer", tags={"team": "a"}):
        ask()
    assert customers(quiet) == [customer]
    assert only(quiet).properties["tag_team"] == "a"


def test_the_inner_function_pays_for_its_own_calls(quiet: TokenMeter) -> None:
    client = client_of(wire.chat())

    @quiet.metered(customer="inner")
    def inner() -> str:
        return called(client)

    @quiet.metered(customer="outer", feature="f")
    def outer() -> str:
        inner()
        return called(client)

    outer()
    assert customers(quiet) == ["inner", "outer"]
    assert {event.properties["feature"] for event in events_of(quiet)} == {"f"}


def test_a_renamed_event_is_renamed_for_its_exchanges_too(quiet: TokenMeter) -> None:
    client = client_of(wire.chat())

    @quiet.metered(event_name="summary_written")
    def ask() -> str:
        return called(client)

    ask()
    assert only(quiet).event_name == "summary_written"


async def test_a_task_stays_the_task_it_is(quiet: TokenMeter) -> None:
    @quiet.metered(customer="acme")
    def begin(outcome: Any) -> asyncio.Task[Any]:
        async def work() -> Any:
            await asyncio.sleep(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return asyncio.create_task(work())

    task = begin({"object": "chat.completion", "usage": {"prompt_tokens": 9}})
    assert type(task) is asyncio.Task
    await task
    failing = begin(ValueError("mine"))
    with pytest.raises(ValueError, match="mine"):
        await failing
    stopped = begin("never")
    stopped.cancel()
    await asyncio.gather(stopped, return_exceptions=True)
    await asyncio.sleep(0)
    found = [event.properties for event in events_of(quiet)]
    assert [each["outcome"] for each in found] == ["success", "failed", "cancelled"]
    assert found[0]["input_tokens"] == 9
    assert customers(quiet) == ["acme"] * 3


async def test_a_coroutine_nobody_awaits_is_warned_of_once_and_by_name(quiet: TokenMeter) -> None:
    @quiet.metered
    async def later() -> None:
        """Do nothing."""

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dropped: Any = later
        dropped()
        dropped().close()
    assert len(caught) == 1
    assert "later' was never awaited" in str(caught[0].message)
    assert events_of(quiet) == []


def test_the_package_function_uses_the_meter_of_the_scope_else_the_default(
    default: TokenMeter,
) -> None:
    client = client_of(wire.chat())

    @tokenmeter.metered(customer="acme")
    def ask() -> str:
        return called(client)

    ask()
    other = TokenMeter("memory:")
    with other.attribute(customer="x"):
        ask()
    assert customers(default) == customers(other) == ["acme"]
    other.shutdown()
