"""generateContent: what is delivered beside text, what it is called, and searches."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.providers.google_wire import (
    FLASH,
    HELLO,
    Json,
    answer,
    call,
    chunks,
    content,
    image,
    metadata,
)
from tokenmeter.capture.reader import BodyReader
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers.google import LIVE

IMAGE_MODEL = "/v1beta/models/gemini-3-pro-image:generateContent"


def test_the_images_of_all_chunks_count_and_those_of_thoughts_do_not() -> None:
    reading = chunks(
        answer(metadata(5, 1290), image(thought=True), image()),
        answer(metadata(5, 2580), HELLO, image("image/jpeg")),
        answer(metadata(5, 2580), image("audio/L16")),
    )
    assert (reading.usage.image_count, reading.usage.output_count) == (2, 2)
    assert reading.usage.output_tokens == 2580


def test_a_large_image_is_counted_though_its_data_was_cut_out() -> None:
    body = answer(metadata(4, 1290), image())
    body["candidates"][0]["content"]["parts"][0]["inlineData"]["data"] = "A" * 300_000
    assert content(body, IMAGE_MODEL).usage.image_count == 1
    assert chunks(body).usage.image_count == 1


@pytest.mark.parametrize(
    "part",
    [
        {"inlineData": {"mimeType": "image/png"}},
        {"inlineData": {"mimeType": 7, "data": ""}},
        {"inlineData": "junk"},
        {"inlineData": {"mimeType": "image/png", "data": None}},
    ],
)
def test_an_image_without_its_data_key_was_not_delivered(part: Json) -> None:
    assert content(answer(metadata(4, 1290), part), IMAGE_MODEL).usage.image_count == 0


def test_files_and_videos_are_delivered_too() -> None:
    stored = {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/o"}}
    usage = content(answer(metadata(4, 9), stored)).usage
    assert (usage.video_count, usage.output_count) == (1, 1)


@pytest.mark.parametrize(
    ("path", "config", "event_name"),
    [
        (f"{FLASH}:generateContent", {}, "text_generated"),
        (IMAGE_MODEL, {}, "image_generated"),
        (IMAGE_MODEL, {"responseModalities": ["TEXT"]}, "text_generated"),
        (f"{FLASH}:generateContent", {"responseModalities": ["TEXT", "IMAGE"]}, "image_generated"),
        (f"{FLASH}:generateContent", {"responseModalities": "IMAGE"}, "text_generated"),
        (f"{FLASH}:generateContent", {"imageConfig": {"imageSize": "2K"}}, "image_generated"),
        (f"{FLASH}-preview-tts:generateContent", {}, "audio_generated"),
        ("/v1beta/models/gemini-omni-1.1-flash:generateContent", {}, "video_generated"),
    ],
)
def test_the_event_is_named_after_what_was_asked_for(
    path: str, config: Json, event_name: str
) -> None:
    assert call(path, generationConfig=config).api.event_name == event_name
    assert call(path, generation_config=config).api.event_name == event_name


def test_size_and_aspect_ratio_stand_in_the_request() -> None:
    config = {"imageConfig": {"imageSize": "4K", "aspectRatio": "16:9"}}
    asked = call(IMAGE_MODEL, generationConfig=config)
    assert asked.dimensions == {"size": "4K", "aspect_ratio": "16:9"}


def test_an_image_model_that_draws_nothing_delivers_0_images() -> None:
    refused = {"candidates": [{"finishReason": "IMAGE_SAFETY"}], "usageMetadata": metadata(12)}
    reading = content(refused, IMAGE_MODEL)
    assert (reading.usage.image_count, reading.usage.output_count) == (0, 0)
    assert reading.dimensions == {"finish_reason": "IMAGE_SAFETY"}


def test_a_blocked_prompt_keeps_its_tokens_and_says_why() -> None:
    blocked = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "modelVersion": "gemini-2.5-flash-image",
        "usageMetadata": metadata(12, totalTokenCount=12),
    }
    reading = content(blocked, IMAGE_MODEL)
    assert (reading.usage.input_tokens, reading.usage.image_count) == (12, 0)
    assert reading.dimensions == {"block_reason": "PROHIBITED_CONTENT"}
    assert "output_tokens" not in reading.usage


def test_each_different_search_is_counted_once_however_often_it_is_named() -> None:
    def grounded(*queries: object) -> Json:
        body = answer(metadata(5, 7), HELLO)
        body["candidates"][0]["groundingMetadata"] = {"webSearchQueries": list(queries)}
        return body

    reading = chunks(grounded("ruby", ""), grounded("ruby", "rust", None), grounded())
    assert reading.usage.web_search_count == 2
    assert "web_search_count" not in content(answer(metadata(5, 7), HELLO)).usage
    body = grounded("fox")
    body["candidates"][0]["groundingMetadata"]["imageSearchQueries"] = ["fox"]
    assert content(body).usage.web_search_count == 2
    body["candidates"][0]["groundingMetadata"] = {"webSearchQueries": "junk"}
    assert "web_search_count" not in content(body).usage


def test_no_query_leaves_the_adapter() -> None:
    body = answer(metadata(5, 7), HELLO)
    body["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["my secret"]}
    asked = call(f"{FLASH}:generateContent")
    assert "secret" not in repr(asked.api.read(body))
    assert "Hello" not in repr(asked.api.read(body))


def test_candidates_are_counted_over_the_whole_stream() -> None:
    def second(**more: Any) -> Json:
        candidate = {"content": {"parts": [HELLO]}, "index": 1, **more}
        return {"candidates": [candidate], "usageMetadata": metadata(5, 9)}

    reading = chunks(answer(metadata(5, 7), HELLO), second(), second(index="junk"))
    assert reading.usage.output_count == 2


def test_text_thoughts_and_arguments_are_what_a_chunk_delivers() -> None:
    asked = call(f"{FLASH}:streamGenerateContent")
    assert asked.api.text is not None
    event = answer(
        None, {"text": "Hmm", "thought": True}, HELLO, {"functionCall": {"args": {"x": 1}}}
    )
    assert asked.api.text(event) == 'HmmHello{"x": 1}'
    assert asked.api.text({"candidates": "junk"}) == ""


def test_the_text_of_an_aborted_stream_can_be_estimated() -> None:
    asked = call(f"{FLASH}:streamGenerateContent")
    reader = EventReader(asked.api)
    for _ in range(50):
        event = json.dumps(answer(metadata(5), {"text": "x" * 40}))
        reader.feed(f"data: {event}\n\n".encode())
    assert reader.text_bytes() == pytest.approx(2000, rel=0.1)
    assert "output_tokens" not in asked.api.settle(reader.reading, asked).usage


def test_a_live_turn_reports_its_output_as_response_tokens() -> None:
    turn = {
        "serverContent": {"turnComplete": True},
        "usageMetadata": {
            "promptTokenCount": 20,
            "responseTokenCount": 30,
            "thoughtsTokenCount": 5,
            "totalTokenCount": 55,
            "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 30}],
            "serviceTier": "standard",
        },
    }
    reader = BodyReader(LIVE, "application/json")
    reader.feed(json.dumps(turn).encode())
    reader.end()
    reading = LIVE.settle(reader.reading, call(f"{FLASH}:streamGenerateContent"))
    assert (reading.usage.output_tokens, reading.usage.output_audio_tokens) == (35, 30)
    assert reading.dimensions == {"service_tier": "standard"}
    assert (reading.flags, LIVE.operation) == (frozenset(), "live")


def on_grounds(kinds: list[object], **queries: object) -> Json:
    body = answer(metadata(5, 7), HELLO)
    chunk = [{kind: {"uri": "secret"}} if isinstance(kind, str) else kind for kind in kinds]
    body["candidates"][0]["groundingMetadata"] = {"groundingChunks": chunk, **queries}
    return body


FOUND = ("web_search_count", "maps_grounding_count", "file_search_count")
CAFES = ["cafes near here", "cafes open now"]


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        (on_grounds(["maps", "maps"]), (None, 1, None)),
        (on_grounds(["maps"], webSearchQueries=CAFES), (None, 2, None)),
        (on_grounds(["maps", "web"], webSearchQueries=CAFES), (2, 1, None)),
        (on_grounds(["web"], webSearchQueries=CAFES), (2, None, None)),
        (on_grounds([], googleMapsWidgetContextToken="t"), (None, 1, None)),
        (on_grounds(["retrievedContext"]), (None, None, 1)),
        (on_grounds(["retrievedContext"], retrievalQueries=CAFES), (None, None, 2)),
        (on_grounds(["junk", 7, None]), (None, None, None)),
        (on_grounds([], groundingChunks="maps"), (None, None, None)),
    ],
)
def test_searches_are_counted_by_what_they_found(
    body: Json, counts: tuple[int | None, int | None, int | None]
) -> None:
    assert tuple(map(content(body).usage.get, FOUND)) == counts
    assert tuple(map(chunks(body, body).usage.get, FOUND)) == counts


def test_places_and_queries_of_maps_may_come_in_different_chunks_of_a_stream() -> None:
    query = on_grounds([], webSearchQueries=["cafes"])
    usage = chunks(query, on_grounds(["maps"])).usage
    assert tuple(map(usage.get, FOUND)) == (None, 1, None)
