from __future__ import annotations

import os
import re
import threading

from tokenmeter.engine.ids import IdSource, new_id


def test_an_id_is_a_prefix_and_a_ulid_of_its_time() -> None:
    made = IdSource(lambda: 1_469_918_176_385).new("meter")
    assert re.fullmatch(r"meter_[0-9A-HJKMNP-TV-Z]{26}", made)
    assert made.startswith("meter_01ARYZ6S41")  # the time of the ULID specification's example


def test_ids_rise_within_a_millisecond_and_when_the_clock_goes_back() -> None:
    times = iter([5, 5, 5, 4, 6])
    source = IdSource(lambda: next(times))
    made = [source.new("x") for _ in range(5)]
    assert made == sorted(set(made))


def test_threads_never_get_the_same_id() -> None:
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda: made.extend(new_id("x") for _ in range(500)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 2_000


def test_a_forked_process_makes_other_ids_than_its_parent() -> None:
    new_id("x")
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, "\n".join(new_id("x") for _ in range(50)).encode())
        os._exit(0)
    own = {new_id("x") for _ in range(50)}
    os.waitpid(child, 0)
    theirs = set(os.read(read, 100_000).decode().split("\n"))
    os.close(read)
    os.close(write)
    assert len(theirs) == 50
    assert not own & theirs
