"""The canonical name of a model: one name per price, however a host spells it."""

from __future__ import annotations

import pytest

from tokenmeter.providers.models import model_type

NAMES = {
    "gpt-4-0613": "gpt-4",
    "gpt-4o-2024-08-06": "gpt-4o",
    "gpt-3.5-turbo-instruct:20230824-v2": "gpt-3.5-turbo-instruct",
    "gpt-3.5-turbo-instruct-0914": "gpt-3.5-turbo-instruct",
    "ft:gpt-4o-mini-2024-07-18:acme::id": "gpt-4o-mini",
    "claude-sonnet-4-5-20250929": "claude-sonnet-4-5",
    "publishers/google/models/gemini-2.5-flash": "gemini-2.5-flash",
    # Bedrock's ids: region, vendor, date, version and context window are no part of the name.
    "anthropic.claude-sonnet-4-5-20250929-v1:0": "claude-sonnet-4-5",
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0": "claude-sonnet-4-5",
    "global.anthropic.claude-sonnet-4-5-20250929-v1:0": "claude-sonnet-4-5",
    "anthropic.claude-3-5-sonnet-20241022-v2:0": "claude-3-5-sonnet",
    "anthropic.claude-opus-4-6-v1": "claude-opus-4-6",
    "eu.amazon.nova-pro-v1:0:300k": "nova-pro",
    "us.amazon.nova-2-lite-v1:0": "nova-2-lite",
    "us-gov.meta.llama3-1-8b-instruct-v1:0": "llama3-1-8b-instruct",
    "amazon.titan-embed-text-v1": "titan-embed-text",
    "amazon.titan-embed-text-v2:0": "titan-embed-text-v2",
    "openai.gpt-oss-120b-1:0": "gpt-oss-120b",
    "mistral.mistral-7b-instruct-v0:2": "mistral-7b-instruct-v0",
    "openai.gpt-5.5": "gpt-5.5",
    # Dots and colons of others are theirs.
    "gpt-4.1": "gpt-4.1",
    "llama3.2:3b": "llama3.2:3b",
    "wan2.2-t2v-v1": "wan2.2-t2v-v1",
    "moonshotai/Kimi-K2-Instruct-0905:groq": "Kimi-K2-Instruct-0905:groq",
}


@pytest.mark.parametrize("model", NAMES)
def test_a_model_has_one_canonical_name(model: str) -> None:
    assert model_type(model) == NAMES[model]
