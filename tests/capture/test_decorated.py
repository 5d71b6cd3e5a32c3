"""A decorated function is pickled and copied as a function is: pools and tools do both."""

from __future__ import annotations

import copy
import functools
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

import tokenmeter


@tokenmeter.metered(customer="acme")
def double(number: int) -> int:
    return 2 * number


class Shop:
    """Its methods are decorated, in each of the ways that there are."""

    def __init__(self, name: str) -> None:
        self.name = name

    @tokenmeter.metered(customer="acme")
    def sell(self) -> str:
        return self.name

    @classmethod
    @tokenmeter.metered(customer="acme")
    def kind(cls) -> str:
        return cls.__name__

    @staticmethod
    @tokenmeter.metered(customer="acme")
    def tax() -> int:
        return 19


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_decorated_function_is_pickled_by_its_name(protocol: int) -> None:
    assert pickle.loads(pickle.dumps(double, protocol)) is double


@pytest.mark.filterwarnings("ignore:tokenmeter found no usage")
@pytest.mark.parametrize(
    ("given", "returned"),
    [(Shop("a").sell, "a"), (Shop.kind, "Shop"), (Shop("a").kind, "Shop"), (Shop.tax, 19)],
    ids=["method", "class method", "class method of an object", "static method"],
)
def test_a_decorated_method_is_pickled_and_copied_as_a_method(given: Any, returned: Any) -> None:
    assert pickle.loads(pickle.dumps(given))() == returned
    assert copy.copy(given)() == copy.deepcopy(given)() == returned


def test_a_function_reached_by_its_class_is_pickled() -> None:
    assert pickle.loads(pickle.dumps(Shop.sell))(Shop("b")) == "b"


def test_what_holds_a_decorated_function_is_copied_with_it() -> None:
    held = {"tools": [double, functools.partial(double, 3)]}
    assert copy.deepcopy(held)["tools"][0] is double
    assert copy.copy(double) is double


def test_a_copied_method_belongs_to_the_copy() -> None:
    shop = Shop("a")
    copied, its_method = copy.deepcopy((shop, shop.sell))
    copied.name = "b"
    assert (its_method(), shop.sell()) == ("b", "a")


def test_a_function_within_a_function_is_refused_as_without_us() -> None:
    @tokenmeter.metered(customer="acme")
    def local() -> int:
        return 1

    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(local)


def test_a_pool_of_processes_runs_a_decorated_function() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(double, [1, 2])) == [2, 4]
