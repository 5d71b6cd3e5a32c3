"""A fork in the midst of a stream: who opened the stream reports it, as it was for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.delivery.records import PATIENCE_S, finish, run_python
from tokenmeter import TokenMeter

STREAM = """
    import gc, openai, tokenmeter
    from tests.capture import wire
    from tests.capture.play import Player

    meter = tokenmeter.configure("sqlite:///" + sys.argv[1] + "/usage.db", state_dir=sys.argv[1])
    tokenmeter.instrument()
    client = openai.OpenAI(api_key="k", http_client=Player([wire.chat_stream()]).client())
    stream = client.chat.completions.create(
        model="gpt-5-mini", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    next(stream)
    def fork(leave):
        child = os.fork()
        if not child:
            leave()
            meter.flush(PATIENCE_S)
            os._exit(0)
        os.waitpid(child, 0)
"""
CLOSED = """
    fork(stream.close)
    list(stream)
"""
DROPPED = """
    def drop():
        global stream
        del stream
        gc.collect()
    fork(drop)
    list(stream)
"""


@pytest.mark.parametrize("script", [CLOSED, DROPPED], ids=["closed", "dropped"])
def test_a_stream_that_a_forked_child_leaves_is_the_parents_success(
    tmp_path: Path, script: str
) -> None:
    finish(run_python(script, tmp_path, setup=STREAM))
    meter = TokenMeter(f"sqlite:///{tmp_path / 'usage.db'}", state_dir=tmp_path)
    try:
        assert meter.flush(PATIENCE_S)
        (event,) = meter.engine.events().events
        assert event.properties["outcome"] == "success"
        assert event.properties["usage_source"] == "reported"
        assert meter.engine.conflicts() == []
    finally:
        meter.shutdown()
