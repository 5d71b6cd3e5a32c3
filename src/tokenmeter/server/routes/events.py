"""Events in: one, or a thousand at once."""

from __future__ import annotations

from fastapi import APIRouter

from tokenmeter.delivery.protocol import Receipt
from tokenmeter.event import Event
from tokenmeter.server import schemas
from tokenmeter.server.auth import Ingesting
from tokenmeter.server.desk import Desk
from tokenmeter.server.incoming import BULK_EVENTS_MAX, BatchError, event_of, events_of
from tokenmeter.server.wire import Fields, RawBody, Reply, body_schema

router = APIRouter(tags=["events"])

ACCEPTED = 202
_BULK = schemas.fields(
    ("events",), events=schemas.several(schemas.EVENT, least=1, most=BULK_EVENTS_MAX)
)


@router.post("/events", status_code=ACCEPTED, openapi_extra=body_schema(schemas.EVENT))
def ingest_event(fields: Fields, desk: Ingesting) -> Reply:
    """Store one event durably; an id that is known already is accepted and ignored."""
    event = event_of(fields, desk.now())
    _check(desk.engine.ingest([event], environment=desk.environment))
    answer = {"message": "Event accepted for processing", "event_id": event.event_id}
    return Reply(answer | _warned(desk, [event]), ACCEPTED)


@router.post("/events/bulk", status_code=ACCEPTED, openapi_extra=body_schema(_BULK))
def ingest_events_bulk(raw: RawBody, desk: Ingesting) -> Reply:
    """Store up to 1,000 events durably, each id once."""
    events = events_of(raw, desk.now())
    _check(desk.engine.ingest(events, environment=desk.environment))
    answer = {"message": "Events accepted for processing"}
    return Reply(answer | _warned(desk, events), ACCEPTED)


def _warned(desk: Desk, events: list[Event]) -> dict[str, str]:
    warning = desk.lacking.warning(events)
    return {"warning": warning} if warning else {}


def _check(receipt: Receipt) -> None:
    """What the store refused is an error, even if the rest was stored: nobody may miss it."""
    refused = receipt.rejected
    if refused:
        faults = [{"event_id": r.event_id, "message": r.reason} for r in refused]
        stored = f", {receipt.accepted} were stored" if receipt.accepted else ""
        raise BatchError(
            f"{len(refused)} events were refused{stored}. {refused[0].event_id}: "
            f"{refused[0].reason}",
            faults,
        )
