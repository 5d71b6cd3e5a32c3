"""
Run the migrations on the connection that `migrate.py` hands over.

The caller holds the write lock and owns the transaction: nothing is begun or committed here.
"""

from __future__ import annotations

from alembic import context

from tokenmeter.engine.store.ledger_schema import metadata
from tokenmeter.engine.store.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=False,
)
context.run_migrations()
