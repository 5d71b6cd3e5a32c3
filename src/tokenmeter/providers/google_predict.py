"""
Embeddings, Imagen and what else answers with `predictions`; the creation of cached contents.

`:predict` on Vertex serves them all, and reports tokens for text embeddings and for PaLM's texts.
Images are billed by the piece: an entry that was filtered stays in the list, without its bytes.
"""

from __future__ import annotations

from dataclasses import replace

from tokenmeter.providers.base import Api, Call, Json, Reading, count, counts, mapping, text
from tokenmeter.providers.google_content import AUDIO, IMAGE, TEXT, objects
from tokenmeter.providers.google_usage import error_type, label, labels, read_usage
from tokenmeter.usage import Usage

EMBEDDING = "embedding_created"
_BYTES = ("bytesBase64Encoded", "gcsUri", "audioContent")
_MODES = ("mode", "editMode")


def read_embedding(payload: Json) -> Reading:
    """Read the answer of embedContent or batchEmbedContents; older models report no usage."""
    failure = error_type(payload)
    if failure is not None:
        return Reading(state="failed", error_type=failure)
    usage, flags = read_usage(payload.get("usageMetadata"))
    return Reading(usage=usage, flags=flags, state="success")


def read_predicted_embedding(payload: Json) -> Reading:
    """Read embeddings of `:predict`: each entry reports its own tokens."""
    reading = read_embedding(payload)
    found: dict[str, int] = {}
    flags: set[str] = set()
    characters = mapping(payload.get("metadata")).get("billableCharacterCount")
    number = count(characters)
    if number is not None:
        found["characters"] = number
    elif characters is not None:
        flags.add("invalid:billableCharacterCount")
    tokens = [
        mapping(mapping(entry.get("embeddings")).get("statistics")).get("token_count")
        for entry in objects(payload.get("predictions"))
    ]
    counted = [count(value) for value in tokens if value is not None]
    if None in counted:
        flags.add("invalid:token_count")
    elif counted:
        total = sum(number for number in counted if number is not None)
        found |= {"input_tokens": total, "uncached_input_tokens": total}
    return replace(reading, usage=reading.usage | Usage(found), flags=reading.flags | flags)


def read_images(payload: Json) -> Reading:
    """Read images: those are delivered that came with bytes. Without any, the call failed."""
    reading = read_predictions(payload)
    made = reading.usage.get("output_count")
    if made is None:
        return reading
    reading = replace(reading, usage=reading.usage | {"image_count": made})
    return reading if made else replace(reading, state="failed", error_type="filtered")


def read_text(payload: Json) -> Reading:
    """Read a text of PaLM's models, or an answer of one that nobody knows."""
    stated = mapping(mapping(payload.get("metadata")).get("tokenMetadata"))
    if not stated:
        return read_predictions(payload)
    sent, made = (mapping(stated.get(f"{side}TokenCount")) for side in ("input", "output"))
    numbers, flags = counts(sent, {"totalTokens": "input_tokens"})
    output, odd = counts(made, {"totalTokens": "output_tokens"})
    numbers = numbers | output
    if "input_tokens" in numbers:
        numbers = numbers | {"uncached_input_tokens": numbers["input_tokens"]}
    reading = replace(read_embedding(payload), event_name=TEXT)
    return replace(reading, usage=numbers, flags=reading.flags | flags | odd)


def read_predictions(payload: Json) -> Reading:
    """Count the files among the predictions of any model."""
    reading = read_embedding(payload)
    entries = payload.get("predictions", [])
    if reading.state == "failed":
        return reading
    if not isinstance(entries, list):
        return replace(reading, flags=reading.flags | {"invalid:predictions"})
    made = sum(
        any(isinstance(entry.get(name), str) for name in _BYTES) for entry in objects(entries)
    )
    return replace(reading, usage=reading.usage | {"output_count": made})


def read_cached_content(payload: Json) -> Reading:
    """
    Read the creation of a cached content.

    It generates nothing, so it has no usage; what it holds is billed by the hour, for as long
    as it lives, which only the account knows. How many tokens those are is a dimension.
    """
    failure = error_type(payload)
    if failure is not None:
        return Reading(state="failed", error_type=failure)
    held = count(mapping(payload.get("usageMetadata")).get("totalTokenCount"))
    return Reading(
        model=label(payload.get("model")),
        response_id=label(payload.get("name")),
        created=label(payload.get("createTime")),
        state="success",
        dimensions={} if held is None else {"cached_content_tokens": str(held)},
    )


def _as_read(reading: Reading, _call: Call) -> Reading:
    return reading


def describe_prediction(body: Json, model: str) -> tuple[Api, dict[str, str]]:
    """Return how the answer of `:predict` is read, and the facts that only the request holds."""
    if "embedding" in model or "gecko" in model:
        return PREDICTED_EMBEDDING, {}
    if "imag" in model or "try-on" in model:
        return IMAGES, _image_dimensions(mapping(body.get("parameters")), model)
    return (MUSIC if "lyria" in model else PREDICTION), {}


def _image_dimensions(parameters: Json, model: str) -> dict[str, str]:
    defaults = {"size": "1K", "aspect_ratio": "1:1"} if model.startswith("imagen") else {}
    mode = next((parameters[name] for name in _MODES if text(parameters.get(name))), None)
    wanted = count(parameters.get("sampleCount"))
    asked = labels(
        size=parameters.get("sampleImageSize"),
        aspect_ratio=parameters.get("aspectRatio"),
        mode=mode,
        sample_count=None if wanted is None else str(wanted),
    )
    return {**defaults, **asked}


EMBED = Api("embedContent", EMBEDDING, read_predicted_embedding, _as_read)
PREDICTED_EMBEDDING = Api("predict", EMBEDDING, read_predicted_embedding, _as_read)
IMAGES = Api("predict", IMAGE, read_images, _as_read)
MUSIC = Api("predict", AUDIO, read_predictions, _as_read)
PREDICTION = Api("predict", "api_calls", read_text, _as_read)
CACHED_CONTENT = Api("cachedContents", "api_calls", read_cached_content, _as_read, owns_ids=True)
