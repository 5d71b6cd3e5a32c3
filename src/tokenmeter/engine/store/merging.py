"""States of cells as JSON text, merged where they are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tokenmeter.engine.tallies import State, merge, read, written

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def states_text(states: Mapping[int, State]) -> str:
    """Write the states of a cell, by the number of their meter."""
    return _encode({str(name): written(state) for name, state in states.items()})


def merged_states(stored: str, added: str) -> str:
    """Merge two cells; a meter may be in either."""
    held: dict[str, State] = json.loads(stored)
    for name, state in json.loads(added).items():
        if name in held:
            kept = read(held[name])
            merge(kept, read(state))
            held[name] = written(kept)
        else:
            held[name] = state
    return _encode(held)
