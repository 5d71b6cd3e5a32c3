"""The canonical name of a model: aliases, paths, dates and revisions removed. One table."""

from __future__ import annotations

import re
from functools import lru_cache

_PATH = re.compile(r"^.*/(?=[^/]+$)")  # publishers/google/models/x, models/x
_FINE_TUNED = re.compile(r"^ft:([^:]+):.*$")  # ft:gpt-4o-mini-2024-07-18:org::id
# On Bedrock: "us.anthropic.claude-sonnet-4-5-20250929-v1:0". A second version is a model of its
# own where it stands alone: Titan's embeddings v1 and v2.
_BEDROCK = re.compile(
    r"^(?:(?:global|us|us-gov|eu|apac|jp|au|ca|in)\.)?"
    r"(?:ai21|amazon|anthropic|cohere|deepseek|google|luma|meta|minimax|mistral|moonshot|moonshotai"
    r"|nvidia|openai|qwen|stability|twelvelabs|writer|zai)\.(?=[a-z])"
)
_BEDROCK_VERSION = re.compile(r"(?:(?<=\d{8})-v\d+|-v1)(?::\w+)*$|(?::\w+)+$")
_SUFFIXES = re.compile(
    r"(?:@\d{8}|@default"
    r"|[-@]20\d{2}-?[01]\d-?[0-3]\d"  # 2024-08-06, 20250219
    r"|-[01]\d-20\d{2}"  # 09-2025
    r"|(?<=gpt-4)-(?:0314|0613)|(?<=gpt-4-32k)-(?:0314|0613)"
    r"|(?<=gpt-3\.5-turbo)-(?:0301|0613|1106|0125)|(?<=gpt-3\.5-turbo-16k)-0613"
    r"|(?<=gpt-3\.5-turbo-instruct):20\d{6}-v\d+|(?<=gpt-3\.5-turbo-instruct)-0914"
    r"|(?<=pro)-00\d|(?<=flash)-00\d|(?<=lite)-00\d|(?<=8b)-00\d"
    r"|-latest)$"
)
_ALIASES = {
    "gpt-4-1106-preview": "gpt-4-turbo-preview",
    "gpt-4-0125-preview": "gpt-4-turbo-preview",
    "gpt-4-1106-vision-preview": "gpt-4-vision-preview",
    "gpt-oss-120b-1": "gpt-oss-120b",  # Bedrock's
    "gpt-oss-20b-1": "gpt-oss-20b",
    # Kling's two surfaces name one model differently; its price list, as the old one does.
    "kling-3.0-omni": "kling-v3-omni",
    "kling-3.0": "kling-v3",
    "kling-2.6": "kling-v2-6",
    "kling-2.5-turbo": "kling-v2-5-turbo",
    "kling-o1": "kling-video-o1",
}


@lru_cache(maxsize=4096)
def model_type(model: str) -> str:
    """Return the name that a price list uses: ``gpt-4-0613`` is ``gpt-4``."""
    name = _FINE_TUNED.sub(r"\1", _PATH.sub("", model.strip()))
    ours = _BEDROCK.sub("", name)
    name = name if ours == name else _BEDROCK_VERSION.sub("", ours)
    bare = _SUFFIXES.sub("", name)
    return _ALIASES.get(name) or _ALIASES.get(bare) or bare or model
