"""What a request has read that it does not carry: the provider keeps it, however long it is."""

from __future__ import annotations

from tokenmeter.providers.base import Json

# OpenAI's (and xAI's) earlier answers, conversations, assistants; Google's caches, interactions.
_NAMES = (
    *("previous_response_id", "conversation", "assistant_id", "previous_interaction_id"),
    *("cachedContent", "cached_content"),
)


def kept_elsewhere(body: Json) -> list[str]:
    """Name what goes before the model from elsewhere: a conversation so far, a saved prompt."""
    found = [name for name in _NAMES if body.get(name)]
    prompt = body.get("prompt")
    saved = isinstance(prompt, dict) and "id" in prompt
    return [*found, "prompt"] if saved else found
