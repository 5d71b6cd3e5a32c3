"""What stands behind a # in a URL hides no call: Mistral's client puts `stream` there."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.capture import wire
from tests.capture.play import LIBRARIES, Player
from tests.capture.test_openai_lifecycle import ASK, only
from tokenmeter import TokenMeter

URLS = (
    "https://api.mistral.ai/v1/chat/completions#stream",
    "https://api.mistral.ai/v1/chat/completions?x=1#stream",
    "https://api.mistral.ai/v1/chat/completions#a?b/c",
)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_call_to_a_url_with_a_fragment_is_metered(
    meter: TokenMeter, library: ModuleType, url: str
) -> None:
    asked = {**ASK, "stream": True}
    with (
        Player([wire.chat_stream()]).client(library) as client,
        client.stream("POST", url, json=asked) as answer,
    ):
        answer.read()
    found = only(meter).properties
    assert (found["provider"], found["usage_source"]) == ("mistral", "reported")
