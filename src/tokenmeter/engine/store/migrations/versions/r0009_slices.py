"""Keys of events in twice as many slices: those of the tails are all sorted in, once."""

from __future__ import annotations

import struct

import sqlalchemy as sa
from alembic import op

from tokenmeter.errors import StoreError

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

KEY_BYTES = 8


def upgrade() -> None:
    """Empty the tails: which of their keys were sorted in goes by the slices of before."""
    connection = op.get_bind()
    tails = connection.execute(sa.text("SELECT first_event, keys FROM event_tails")).all()
    for first, held in tails:
        keys = struct.unpack(f">{len(held) // KEY_BYTES}Q", bytes(held))
        rows = [{"key": key, "event": event} for event, key in enumerate(keys, start=first)]
        connection.execute(_SORTED_IN, rows)
    op.execute("DELETE FROM event_tails")


def downgrade() -> None:
    """Refuse: an older version would look for keys in slices that are not its own."""
    raise StoreError("the keys of events cannot be moved back to the slices of an older version")


_SORTED_IN = sa.text(
    "INSERT INTO event_keys (key, event_id) VALUES (:key, :event) ON CONFLICT DO NOTHING"
)
