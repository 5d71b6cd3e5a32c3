"""States of cells as JSON text, merged where they are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tokenmeter.engine.tallies import ADDED, HIGHEST, State, merge, read, written

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
# States of one whole number, which nearly all are, take a short way: it is the same way.
_ONE_NUMBER = frozenset({ADDED, HIGHEST})


def states_text(states: Mapping[int, State]) -> str:
    """Write the states of a cell, by the number of their meter."""
    return "{" + ",".join([f'"{name}":{_text(state)}' for name, state in states.items()]) + "}"


def merged_states(stored: str | None, added: str) -> str:
    """Merge two cells; a meter may be in either."""
    if stored is None:
        return added
    held: dict[str, State] = json.loads(stored)
    for name, state in json.loads(added).items():
        kept = held.get(name)
        if kept is None:
            held[name] = read(state)
        elif state[0] == ADDED and type(state[2]) is type(kept[2]) is int:
            kept[1] += state[1]
            kept[2] += state[2]
        else:
            held[name] = kept = read(kept)
            merge(kept, read(state))
    return "{" + ",".join([f'"{name}":{_text(state)}' for name, state in held.items()]) + "}"


def _text(state: State) -> str:
    if state[0] in _ONE_NUMBER and type(state[2]) is int:
        return f"[{state[0]},{state[1]},{state[2]}]"
    return _encode(written(state))
