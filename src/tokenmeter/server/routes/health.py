"""Is the server there, and its database?"""

from __future__ import annotations

from fastapi import APIRouter, Request

from tokenmeter.server.desk import Office
from tokenmeter.server.wire import Reply

router = APIRouter(tags=["health"])


@router.get("/health")
@router.post("/health", operation_id="health_post")
def health(request: Request) -> Reply:
    """Answer `ok` once the database has been read; needs no key."""
    office: Office = request.app.state.office
    office.check_database()
    with office.engine.store.reading():
        return Reply({"status": "ok"})
