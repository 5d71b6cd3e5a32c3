"""Stored events, as they are: pages of them, and one by its id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.registry import environment_id
from tokenmeter.engine.definitions.search import ORDERS
from tokenmeter.engine.errors import NotFoundError, ValidationError
from tokenmeter.engine.query import EVENTS_LIMIT_MAX, EventPage
from tokenmeter.event import Event
from tokenmeter.rating.windows import Period
from tokenmeter.server import questions
from tokenmeter.server.asked import filters_of
from tokenmeter.server.auth import Reading
from tokenmeter.server.desk import Desk
from tokenmeter.server.wire import OptionalFields, Reply, body_schema

router = APIRouter(tags=["events"])

PAGE = 50
DESC = "desc"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)
OFFSET_MAX = 10_000  # further on a key of the page before is faster
_COLUMNS = {
    "external_customer_id": "customer",
    "event_name": "event_name",
    "event_id": "event_id",
    "source": "source",
}


@dataclass(frozen=True, slots=True)
class Log:
    """The events of one environment that a question is about."""

    desk: Desk
    filters: Mapping[str, object]
    period: Period | None
    oldest_first: bool = False

    def page(self, limit: int, cursor: str | None) -> EventPage:
        """Return a page."""
        return self.desk.engine.events(
            filters=self.filters,
            start=None if self.period is None else self.period.start,
            end=None if self.period is None else self.period.end,
            limit=limit,
            cursor=cursor,
            environment=self.desk.environment,
            oldest_first=self.oldest_first,
        )

    def after(self, offset: int) -> str | None:
        """Find the place after some events; None at the start."""
        cursor: str | None = None
        while offset:
            step = min(offset, EVENTS_LIMIT_MAX)
            cursor = self.page(step, cursor).cursor
            offset -= step
            if cursor is None:
                raise NotFoundError("The offset lies beyond the last event.")
        return cursor

    def count(self) -> int:
        """Count the events."""
        rows = self.desk.engine.usage(
            filters=self.filters,
            start=None if self.period is None else self.period.start,
            end=None if self.period is None else self.period.end,
            metrics=(),
            environment=self.desk.environment,
        )
        return sum(row.events for row in rows)


@router.post("/events/query", openapi_extra=body_schema(questions.EVENTS_QUERY, required=False))
def query_events(fields: OptionalFields, desk: Reading) -> Reply:
    """
    Return a page of events, newest first unless `order` is asc.

    `iter_last_key` of an answer asks for the next page in the same order.
    """
    size = reading.whole(fields, "page_size", least=1, most=EVENTS_LIMIT_MAX) or PAGE
    offset = reading.whole(fields, "offset", most=OFFSET_MAX) or 0
    if reading.text(fields, "sort") not in {"", "timestamp"}:
        raise ValidationError("sort: events are listed in the order of their timestamp.")
    order = reading.choice({"order": reading.text(fields, "order").lower()}, "order", ORDERS, DESC)
    log = Log(desk, _filters(fields), _period(fields), oldest_first=order != DESC)
    cursor = reading.key(fields, "iter_last_key")
    page = log.page(size, cursor or log.after(offset))
    return Reply(
        {
            "events": [shown_event(event, desk.environment) for event in page.events],
            "has_more": page.cursor is not None,
            "iter_first_key": cursor or "",
            "iter_last_key": page.cursor or "",
            "total_count": log.count(),
            "offset": offset + len(page.events),
        }
    )


@router.get("/events")
def list_events(
    request: Request,
    desk: Reading,
    *,
    page_size: Annotated[int, Query(ge=1, le=EVENTS_LIMIT_MAX)] = PAGE,
    offset: Annotated[int, Query(ge=0, le=OFFSET_MAX)] = 0,
) -> Reply:
    """Return a page of events, as `POST /events/query` does: its fields stand in the query."""
    asked = {**request.query_params, "page_size": page_size, "offset": offset}
    asked.pop("property_filters", None)  # a body says it better
    return query_events(asked, desk)


@router.get("/events/lookup")
def get_event(id: str, desk: Reading, external_customer_id: str = "") -> Reply:  # noqa: A002
    """Return one event by its id, and whether a meter of the environment could count it."""
    return Reply(_found(desk, {"event_id": id} | _customer(external_customer_id)))


@router.get("/events/{id}", operation_id="get_event_by_id")
def get_event_by_id(id: str, desk: Reading) -> Reply:  # noqa: A002 - the name in the path
    """Return one event by its id."""
    return Reply(_found(desk, {"event_id": id}))


def shown_event(event: Event, environment: str) -> dict[str, Any]:
    """Write an event as Flexprice lists it."""
    sent = event.to_dict()
    return {
        "id": sent.pop("event_id"),
        **sent,
        "customer_id": "",
        "environment_id": environment_id(environment),
    }


def _found(desk: Desk, filters: Mapping[str, object]) -> dict[str, Any]:
    events = Log(desk, filters, None).page(1, None).events
    if not events:
        raise NotFoundError(f"There is no event {filters['event_id']!r}.")
    shown = shown_event(events[0], desk.environment)
    return {"event": shown, "status": "processed", "processed_events": []}


def _customer(external_id: str) -> dict[str, object]:
    return {"customer": external_id} if external_id else {}


def _filters(fields: Mapping[str, Any]) -> dict[str, object]:
    sent = {column: reading.text(fields, name) for name, column in _COLUMNS.items()}
    properties = {f.key: list(f.values) for f in filters_of(fields, "property_filters")}
    return {**properties, **{column: value for column, value in sent.items() if value}}


def _period(fields: Mapping[str, Any]) -> Period | None:
    start, end = reading.bound(fields, "start_time"), reading.bound(fields, "end_time")
    if start is None and end is None:
        return None
    start, end = start or EPOCH, end or LAST
    if end < start:
        raise ValidationError("end_time lies before start_time.")
    return Period(start, end)
