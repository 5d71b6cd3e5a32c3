"""Read the fields of a definition; what is wrong raises ValidationError with its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from tokenmeter.engine.errors import ValidationError
from tokenmeter.event import parse_timestamp
from tokenmeter.rating.rounding import number, plain

Fields = Mapping[str, Any]

TEXT_CHARS_MAX = 10_000
KEY_CHARS_MAX = 255
ITEMS_MAX = 1_000  # in one list or mapping
DIGITS_MAX = 40
# What periods are counted from: there is room for any number of them.
FIRST_YEAR, LAST_YEAR = 1900, 2999
# Nothing is stored beyond, and zones and windows reach further on both sides.
_EARLIEST, _LATEST = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def text(fields: Fields, name: str, *, limit: int = TEXT_CHARS_MAX) -> str:
    """Read a text; "" where there is none."""
    given = fields.get(name)
    if given is None:
        return ""
    if not isinstance(given, str):
        raise ValidationError(f"{name} must be a text.")
    if len(given) > limit:
        raise ValidationError(f"{name} has at most {limit} characters.")
    return given


def needed(fields: Fields, name: str) -> str:
    """Read a short text that must be there, without the space around it."""
    given = text(fields, name, limit=KEY_CHARS_MAX).strip()
    if not given:
        raise ValidationError(f"{name} is required.")
    return given


def key(fields: Fields, name: str = "lookup_key") -> str | None:
    """Read a lookup key; None where there is none."""
    return text(fields, name, limit=KEY_CHARS_MAX).strip() or None


def choice(fields: Fields, name: str, allowed: Iterable[str], default: str | None = None) -> str:
    """Read one of a few words; without a default it must be there."""
    given = text(fields, name, limit=KEY_CHARS_MAX)
    known = tuple(allowed)
    if not given and default is not None:
        return default
    if given not in known:
        raise ValidationError(f"{name} must be one of {', '.join(known)}.")
    return given


def flag(fields: Fields, name: str, *, default: bool) -> bool:
    """Read true or false."""
    given = fields.get(name)
    if given is None:
        return default
    if not isinstance(given, bool):
        raise ValidationError(f"{name} must be true or false.")
    return given


def whole(fields: Fields, name: str, *, least: int = 0, most: int = 10**9) -> int | None:
    """Read a whole number within bounds, both included; None where there is none."""
    given = amount(fields, name)
    if given is None:
        return None
    if given != given.to_integral_value() or not least <= given <= most:
        raise ValidationError(f"{name} must be a whole number from {least} to {most}.")
    return int(given)


def amount(fields: Fields, name: str) -> Decimal | None:
    """Read a decimal, sent as a number or as text; None where there is none."""
    given = fields.get(name)
    if given is None:
        return None
    known = number(given)
    long = known is not None and len(known.as_tuple().digits) > DIGITS_MAX
    if known is None or long or (known and abs(known.adjusted()) > DIGITS_MAX):
        raise ValidationError(f"{name} must be a number.")
    return known


def moment(fields: Fields, name: str) -> datetime | None:
    """Read an RFC 3339 time (UTC if it names no zone) or an aware datetime; None for neither."""
    given = fields.get(name)
    if given is None or given == "":
        return None
    if isinstance(given, datetime):
        if given.tzinfo is None:  # it would be taken as of the zone of this machine
            raise ValidationError(f"{name} needs a time zone; write datetime(..., tzinfo=UTC).")
        return given.astimezone(UTC)
    try:
        return parse_timestamp(text(fields, name, limit=64))
    except (ValueError, OverflowError):
        raise ValidationError(f"{name} must be an RFC 3339 time.") from None


def bound(fields: Fields, name: str) -> datetime | None:
    """Read a time that usage is asked from or until; of eternity what calendars can count."""
    given = moment(fields, name)
    return None if given is None else min(max(given, _EARLIEST), _LATEST)


def beginning(fields: Fields, name: str) -> datetime | None:
    """Read a time that periods are counted from."""
    given = moment(fields, name)
    if given is not None and not FIRST_YEAR <= given.year <= LAST_YEAR:
        raise ValidationError(f"{name} must lie within the years {FIRST_YEAR} to {LAST_YEAR}.")
    return given


def metadata(fields: Fields) -> dict[str, str]:
    """Read metadata: texts by name."""
    found = mapping(fields, "metadata")
    if not all(isinstance(value, str) for value in found.values()):
        raise ValidationError("metadata must hold texts.")
    return {name: cast(str, value) for name, value in found.items()}


def mapping(fields: Fields, name: str) -> Mapping[str, object]:
    """Read a JSON object; {} where there is none."""
    given = fields.get(name)
    if given is None:
        return {}
    if not isinstance(given, Mapping) or len(cast("Fields", given)) > ITEMS_MAX:
        raise ValidationError(f"{name} must be an object of at most {ITEMS_MAX} fields.")
    return cast("Mapping[str, object]", given)


def sequence(fields: Fields, name: str, *, limit: int = ITEMS_MAX) -> Sequence[object]:
    """Read a JSON array; () where there is none."""
    given = fields.get(name)
    if given is None:
        return ()
    if not isinstance(given, list | tuple) or len(cast("Sequence[object]", given)) > limit:
        raise ValidationError(f"{name} must be a list of at most {limit} items.")
    return cast("Sequence[object]", given)


def texts(fields: Fields, name: str) -> tuple[str, ...]:
    """Read a list of texts, or one text."""
    given = fields.get(name)
    several = (given,) if isinstance(given, str) else sequence(fields, name)
    if not all(isinstance(value, str) for value in several):
        raise ValidationError(f"{name} must hold texts.")
    return tuple(cast("Sequence[str]", several))


def objects(fields: Fields, name: str, *, limit: int = ITEMS_MAX) -> list[Fields]:
    """Read a list of JSON objects."""
    return [mapping({name: item}, name) for item in sequence(fields, name, limit=limit)]


def written(value: Decimal | None) -> str | None:
    """Write a decimal as a body has it."""
    return None if value is None else plain(value)


def given(fields: Fields, names: Iterable[str]) -> dict[str, Any]:
    """Take the fields that are there and not null."""
    return {name: fields[name] for name in names if fields.get(name) is not None}
