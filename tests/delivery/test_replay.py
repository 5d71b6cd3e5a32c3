"""Dead letters go back into the journal of the backend that refused them, once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.delivery.failing import Answering, buried, letters, refusing
from tests.delivery.records import (
    PATIENCE_S,
    Sink,
    delivering,
    event,
    finish,
    leftovers,
    record,
    run_python,
)
from tokenmeter.delivery.deadletters import DEAD, HELD, DeadLetters, count
from tokenmeter.delivery.protocol import Receipt, Rejection
from tokenmeter.delivery.replay import Replayed, attribute_held, replay_dead
from tokenmeter.event import Event


class Rejecting(Sink):
    """Refuses each event, whichever come together."""

    def send(self, events: Sequence[Event]) -> Receipt:
        super().send(events)
        return Receipt(0, tuple(Rejection(each.event_id, "no such meter") for each in events))


def refused(state_dir: Path, *ids: str) -> None:
    with delivering(Rejecting(), state_dir) as delivery:
        for each in ids:
            delivery.append(record(each))
        assert delivery.flush(PATIENCE_S)


def test_a_replayed_letter_is_delivered_as_it_was_and_leaves_the_file(tmp_path: Path) -> None:
    refused(tmp_path, "evt_1", "evt_2")
    assert replay_dead(tmp_path) == Replayed(2, 0)
    assert letters(tmp_path) == []
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
    assert sink.events == [event("evt_1"), event("evt_2")]
    assert replay_dead(tmp_path) == Replayed()
    assert leftovers(tmp_path) == []


def test_only_the_backend_that_refused_gets_it_again(tmp_path: Path) -> None:
    first, second = Sink(refusing("evt_bad")), Sink()
    with delivering([first, second], tmp_path) as delivery:
        for each in ("evt_bad", "evt_good"):
            delivery.append(record(each))
        assert delivery.flush(PATIENCE_S)
    assert replay_dead(tmp_path, "sink~2") == Replayed()
    assert replay_dead(tmp_path, "sink") == Replayed(1)
    again = [Sink(), Sink()]
    with delivering(again, tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
    assert [sink.ids for sink in again] == [["evt_bad"], []]


def test_what_is_refused_again_is_a_dead_letter_again(tmp_path: Path) -> None:
    refused(tmp_path, "evt_1")
    replay_dead(tmp_path)
    sink = Answering(Receipt(0, (Rejection("evt_1", "still none"),)))
    with delivering(sink, tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
    assert buried(tmp_path) == ["evt_1"]


def test_a_record_that_became_no_event_can_be_replayed_too(tmp_path: Path) -> None:
    def failing(record: dict[str, Any]) -> Any:
        raise KeyError("model")

    with delivering(Sink(), tmp_path, resolve=failing) as delivery:
        delivery.append(record("evt_1"))
        assert delivery.flush(PATIENCE_S)
    assert replay_dead(tmp_path) == Replayed(1)
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
    assert sink.ids == ["evt_1"]


def test_a_damaged_letter_stays_and_the_others_go(tmp_path: Path) -> None:
    refused(tmp_path, "evt_1")
    (path,) = (tmp_path / DEAD).glob("*.jsonl")
    path.write_bytes(b"{torn\n[1]\n" + path.read_bytes())
    assert replay_dead(tmp_path) == Replayed(1, 2)
    assert path.read_bytes() == b"{torn\n[1]\n"


def test_events_held_back_go_on_with_their_customer_and_the_same_id_and_time(
    tmp_path: Path,
) -> None:
    dead = DeadLetters(tmp_path)

    def of(event_id: str, run_id: str) -> Mapping[str, Any]:
        return {**record(event_id), "properties": {"run_id": run_id}}

    for each in (of("evt_1", "a"), of("evt_2", "b")):
        line = json.dumps({"backend": "sink", "reason": "nobody", "event": each})
        dead.bury("sink", "?", {}, held=True)
        (path,) = (tmp_path / HELD).glob("*.jsonl")
        path.write_text(path.read_text().replace(path.read_text().splitlines()[-1], line))
    assert attribute_held(tmp_path, "acme", "b") == Replayed(1, 1)
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
    (sent,) = sink.events
    assert (sent.event_id, sent.external_customer_id) == ("evt_2", "acme")
    assert sent.timestamp == event("evt_2").timestamp
    assert attribute_held(tmp_path, "other") == Replayed(1, 0)
    assert count(tmp_path, HELD) == 0


def test_letters_written_during_replays_are_neither_lost_nor_doubled(tmp_path: Path) -> None:
    script = """
        from tokenmeter.delivery.deadletters import DeadLetters
        dead = DeadLetters(Path(sys.argv[1]))
        for n in range(400):
            dead.bury("sink", "no", event(f"evt_{sys.argv[2]}_{n}"))
    """
    writers = [run_python(script, tmp_path, n) for n in range(2)]
    again = 0
    while any(each.poll() is None for each in writers):
        again += replay_dead(tmp_path).again
    for each in writers:
        finish(each)
    again += replay_dead(tmp_path).again
    assert again == 800
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
    assert sorted(sink.ids) == sorted(f"evt_{w}_{n}" for w in range(2) for n in range(400))
