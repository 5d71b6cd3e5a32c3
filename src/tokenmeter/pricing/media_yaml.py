"""YAML as price lists use it: every value is text, and every mistake has a file and a line."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from tokenmeter.errors import ConfigurationError

PRICES_BYTES_MAX = 4 * 1024 * 1024
PRICE_LIST = "price list"  # what a file is called in its errors
AMOUNT_MAX = Decimal(10) ** 12
AMOUNT_DIGITS_MAX = 18  # decimal places


class Node(NamedTuple):
    """A value of a YAML file, and where it stands; `item` is PyYAML's own."""

    path: str
    item: Any
    what: str = PRICE_LIST

    def fail(self, mistake: str) -> ConfigurationError:
        """Return the error that names this place."""
        return wrong(self.path, self.line, mistake, self.what)

    @property
    def line(self) -> int:
        """Its line, counted from 1."""
        return int(self.item.start_mark.line) + 1

    def fields(self, known: Collection[str] = ()) -> dict[str, Node]:
        """
        Return a mapping's values by key.

        A key twice is an error, and one that is not among the `known`, if these are given.
        """
        if self.item.id != "mapping":
            raise self.fail("here belongs a mapping, `key: value`")
        found: dict[str, Node] = {}
        for key_item, item in self.item.value:
            key = self._replace(item=key_item)
            name = key.text()
            if known and name not in known:
                raise key.fail(f"{name!r} is no key here; use {', '.join(sorted(known))}")
            if name in found:
                raise key.fail(f"{name!r} stands here twice")
            found[name] = self._replace(item=item)
        return found

    def items(self) -> Iterator[Node]:
        """Yield the values of a list."""
        if self.item.id != "sequence":
            raise self.fail("here belongs a list")
        for item in self.item.value:
            yield self._replace(item=item)

    def text(self) -> str:
        """Return a value as it is written: 1024x1024, true, 0.040."""
        if self.item.id != "scalar" or not self.item.value.strip():
            raise self.fail("here belongs a text or a number")
        return str(self.item.value).strip()

    def texts(self) -> tuple[str, ...]:
        """Return a value, or a list of values."""
        if self.item.id != "sequence":
            return (self.text(),)
        several = tuple(dict.fromkeys(item.text() for item in self.items()))
        if not several:
            raise self.fail("this list is empty")
        return several

    def amount(self) -> Decimal:
        """Return a number that is not negative, exactly as it is written."""
        try:
            number = Decimal(self.text())
        except InvalidOperation:
            raise self.fail(f"{self.text()!r} is no number") from None
        if not number.is_finite() or not 0 <= number <= AMOUNT_MAX:
            raise self.fail(f"{self.text()} is not between 0 and {AMOUNT_MAX}")
        if int(number.as_tuple().exponent) < -AMOUNT_DIGITS_MAX:
            raise self.fail(f"{self.text()} has more than {AMOUNT_DIGITS_MAX} decimal places")
        return number

    def positive(self) -> Decimal:
        """Return a number above 0."""
        number = self.amount()
        if not number:
            raise self.fail("this must be more than 0")
        return number

    def whole(self) -> int:
        """Return a whole number above 0."""
        number = self.positive()
        if number != int(number):
            raise self.fail(f"{number} is no whole number")
        return int(number)

    def moment(self) -> datetime:
        """Return a date (2026, 2026-08, 2026-08-21) or a time as the UTC moment it begins."""
        text = self.text()
        padded = text + "-01-01"[len(text) - 4 :] if len(text) in {4, 7} else text
        try:
            moment = datetime.fromisoformat(padded)
        except ValueError:
            raise self.fail(f"{text!r} is no date; write 2026-08-21") from None
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)

    def choice(self, choices: Collection[str]) -> str:
        """Return one of these words."""
        text = self.text()
        if text not in choices:
            raise self.fail(f"{text!r} is not one of {', '.join(choices)}")
        return text


def wrong(path: str, line: int, mistake: str, what: str = PRICE_LIST) -> ConfigurationError:
    """Return the error that names a place in a file."""
    return ConfigurationError(f"{what} {path}, line {line}: {mistake}")


def read_yaml(path: Path, what: str = PRICE_LIST) -> tuple[Node | None, str]:
    """
    Read a YAML file: its top, None if it holds nothing, and a digest of its text.

    Raises ConfigurationError.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the {what} {path} cannot be read ({error.strerror}); name another file"
        ) from error
    if len(content) > PRICES_BYTES_MAX:
        raise ConfigurationError(f"the {what} {path} is larger than {PRICES_BYTES_MAX} bytes")
    item = _composed(str(path), content, what)
    return (None if item is None else Node(str(path), item, what)), sha256(content).hexdigest()[:8]


def _composed(path: str, content: bytes, what: str) -> Any:
    # Imported when a price list is first read: `import tokenmeter` must not.
    yaml: Any = importlib.import_module("yaml")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is 15 times faster
    try:
        return yaml.compose(content, Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = 1 if mark is None else mark.line + 1
        problem = getattr(error, "problem", None) or "this is no YAML in UTF-8"
        raise wrong(path, line, str(problem), what) from error
    except RecursionError as error:
        raise wrong(path, 1, "this is nested too deeply", what) from error
