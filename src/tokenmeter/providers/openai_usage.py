"""The `usage` object of every OpenAI-like API: which field means what, read in one walk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenmeter.providers.base import COUNT_MAX, count
from tokenmeter.providers.openai_numbers import seconds
from tokenmeter.usage import Number

# What a field is: a metric, an object of further fields, or one of these.
_COST = "cost:"  # kept for the rule that works out what the host charged
_TIME = "time:"  # a metric in seconds, which need not be whole
_NOT_BILLED = ""
_Names = Mapping[str, Any]  # str, or Mapping of the same kind

_CACHED_DETAILS: _Names = {
    "audio_tokens": "cache_read_audio_tokens",
    "image_tokens": "cache_read_image_tokens",
    "text_tokens": "cache_read_text_tokens",
    "video_tokens": "cache_read_video_tokens",
    "cached_image_tokens": "cache_read_image_tokens",
    "cached_text_tokens": "cache_read_text_tokens",
}
_INPUT_DETAILS: _Names = {
    "cached_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",  # Alibaba
    "cache_creation": {"ephemeral_5m_input_tokens": "cache_write_5m_tokens"},
    "cache_type": "",
    "audio_tokens": "input_audio_tokens",
    "image_tokens": "input_image_tokens",
    "text_tokens": "input_text_tokens",
    "video_tokens": "input_video_tokens",
    "cached_tokens_details": _CACHED_DETAILS,
    "cache_write_tokens_details": {
        "ttl_30m_tokens": "cache_write_30m_tokens",
        "ttl_12h_tokens": "cache_write_12h_tokens",
    },
}
_OUTPUT_DETAILS: _Names = {
    "reasoning_tokens": "reasoning_tokens",
    "audio_tokens": "output_audio_tokens",
    "image_tokens": "output_image_tokens",
    "text_tokens": "output_text_tokens",
    "video_tokens": "output_video_tokens",
    "accepted_prediction_tokens": "accepted_prediction_tokens",
    "rejected_prediction_tokens": "rejected_prediction_tokens",
}
_SEARCHES: _Names = {
    "web_search_requests": "web_search_count",
    "tool_calls_requested": "",  # within the cost that OpenRouter states
    "tool_calls_executed": "",
}
_XAI_TOOLS: _Names = {
    "web_search_calls": "web_search_count",
    "x_search_calls": "social_search_count",
    "file_search_calls": "file_search_count",
    "code_interpreter_calls": "code_execution_count",
    # Within the cost that it states, and counted elsewhere or by nobody.
    **dict.fromkeys(("mcp_calls", "document_search_calls", "image_generation_calls"), ""),
    **dict.fromkeys(("x_posts_fetched", "x_users_fetched"), ""),
}
_FACTS = (  # kind, tier and size of search; Groq's times; xAI's counts of what was looked at
    *("type", "service_tier", "search_context_size", "market_cost", "context_details"),
    "gateway_cost",  # Vercel's, beside its `cost`
    "latency_checkpoint",  # OpenAI's times: until its first token, its last
    *("queue_time", "prompt_time", "completion_time", "total_time"),
    "total_characters",  # MiniMax
    *("image_pixels", "video_pixels"),  # Voyage's, within its tokens
    # SambaNova's times and rates
    *("is_last_response", "acceptance_rate", "start_time", "end_time", "stop_reason"),
    *("time_to_first_token", "total_latency", "model_execution_time"),
    *("completion_tokens_per_sec", "total_tokens_per_sec"),
    *(f"completion_tokens_after_first_per_sec{end}" for end in ("", "_first_ten", "_graph")),
    *("num_sources_used", "num_server_side_tools_used", "audio_prompt_tokens"),
    "extra_properties",  # Vertex's tier
)
# Every spelling that OpenAI and the compatible hosts use; none of them means two things.
USAGE: _Names = {
    "prompt_tokens": "input_tokens",
    "input_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "prompt_tokens_details": _INPUT_DETAILS,
    "prompt_token_details": _INPUT_DETAILS,
    "input_tokens_details": _INPUT_DETAILS,
    "input_token_details": _INPUT_DETAILS,
    "completion_tokens_details": _OUTPUT_DETAILS,
    "output_tokens_details": _OUTPUT_DETAILS,
    "output_token_details": _OUTPUT_DETAILS,
    "num_input_text_tokens": "input_text_tokens",  # of Microsoft's images
    "num_input_image_tokens": "input_image_tokens",
    "num_output_tokens": "output_tokens",
    "cached_input_tokens": "cache_read_tokens",  # of Fireworks' decisions
    "cached_tokens": "cache_read_tokens",  # Together; of image tools
    "num_cached_tokens": "cache_read_tokens",  # Mistral
    "cached_tokens_details": _CACHED_DETAILS,
    "prompt_cache_hit_tokens": "cache_read_tokens",  # DeepSeek
    "prompt_cache_miss_tokens": _NOT_BILLED,  # the rest of the prompt
    "cache_read_input_tokens": "cache_read_tokens",  # gateways before Claude
    "cache_creation_input_tokens": "cache_write_tokens",
    "reasoning_tokens": "reasoning_tokens",  # Perplexity, svg_usage
    "citation_tokens": "tool_use_input_tokens",  # Perplexity
    "num_search_queries": "web_search_count",
    "num_requests": "web_search_count",  # tool_usage.web_search
    "connector_tokens": "tool_use_input_tokens",  # Mistral's conversations
    "connectors": {"web_search": "web_search_count"},
    "search_units": "search_unit_count",  # of a rerank
    "server_tool_use": _SEARCHES,
    "server_tool_use_details": _SEARCHES,  # OpenRouter
    "server_side_tool_usage_details": _XAI_TOOLS,
    "seconds": _TIME + "audio_seconds",
    "text_tokens": "input_text_tokens",  # Voyage's, beside the pixels that made the others
    "prompt_audio_seconds": _TIME + "audio_seconds",  # Mistral
    "cost": _COST,
    "cost_in_usd_ticks": _COST,
    "cost_in_nano_usd": _COST,
    "estimated_cost": _COST,
    "is_byok": _COST,
    "cost_details": _COST,
    **dict.fromkeys(_FACTS, _NOT_BILLED),
}


class Found:
    """What one walk over a usage object has found."""

    __slots__ = ("costs", "flags", "numbers")

    def __init__(self) -> None:
        self.numbers: dict[str, Number] = {}
        self.flags: set[str] = set()
        self.costs: dict[str, Any] = {}

    def walk(self, fields: Mapping[str, Any], names: _Names) -> None:
        """Take every field; what is no count is left out and flagged, and so is the unknown."""
        for name, value in fields.items():
            if value is None:
                continue
            meaning = names.get(name)
            if not isinstance(meaning, str):
                self._nested(name, value, meaning)
            elif value.__class__ is int and 0 <= value <= COUNT_MAX and ":" not in meaning:
                if meaning:
                    self.numbers[meaning] = value
            else:
                self._special(name, value, meaning)

    def _nested(self, name: str, value: object, names: _Names | None) -> None:
        if names is None:
            if value != 0:
                self.flags.add(f"unknown:{name}"[:80])
        elif isinstance(value, dict):
            self.walk(value, names)
        else:
            self.flags.add(f"invalid:{name}")

    def _special(self, name: str, value: object, meaning: str) -> None:
        """Take a cost, a time, or a number that is no plain int."""
        if meaning == _NOT_BILLED:
            return
        if meaning == _COST:
            self.costs[name] = value
            return
        metric = meaning.removeprefix(_TIME)
        number = count(value) if metric == meaning else seconds(value)
        if number is None:
            self.flags.add(f"invalid:{name}")
        else:
            self.numbers[metric] = number


def walked(usage: object) -> Found:
    """Return what a `usage` object reports; nothing if there is none."""
    found = Found()
    if isinstance(usage, dict):
        found.walk(usage, USAGE)
    elif usage is not None:
        found.flags.add("invalid:usage")
    return found
