"""Usage with what it costs the customer, and what it costs us."""

from __future__ import annotations

from fastapi import APIRouter

from tokenmeter.engine.usage_analytics import Analytics
from tokenmeter.server import questions
from tokenmeter.server.auth import Reading
from tokenmeter.server.wire import Fields, Reply, body_schema

router = APIRouter(tags=["analytics"])


@router.post("/events/analytics", openapi_extra=body_schema(questions.ANALYTICS))
def get_usage_analytics(fields: Fields, desk: Reading) -> Reply:
    """Show a customer's usage and its cost, by feature, property and window."""
    analytics = Analytics(desk.engine.store, desk.services.invoices, desk.environment)
    return Reply(analytics.answer(fields, desk.now()))


@router.post("/costs/analytics", openapi_extra=body_schema(questions.COST_ANALYTICS))
def get_cost_analytics(fields: Fields, desk: Reading) -> Reply:
    """Rate usage by the active cost sheet, with the revenue of the same time beside it."""
    return Reply(desk.services.costs(fields))
