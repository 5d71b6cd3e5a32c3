"""What hosts serve beside their own: other makers' models, and kinds of calls of their own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.exchanges import Json, chat, chat_usage
from tests.providers.media import Step, described, played
from tokenmeter.event import Event

AZURE = "https://r.services.ai.azure.com/providers"
VERTEX = (
    "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/publishers"
)
MISTRAL = "https://api.mistral.ai/v1"
READ = {"pages": [], "model": "mistral-ocr-2505", "usage_info": {"pages_processed": 3}}


def one(url: str, body: Json, answer: Json) -> Event:
    return played(Step("POST", url, answer, body)).event


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        (f"{MISTRAL}/ocr", "mistral"),
        (f"{AZURE}/mistral/azure/ocr", "azure"),
        (f"{VERTEX}/mistralai/models/mistral-ocr-2505:rawPredict", "google-vertex"),
    ],
)
def test_mistrals_ocr_is_counted_by_the_page_whoever_serves_it(url: str, provider: str) -> None:
    event = one(url, {"model": "mistral-ocr-2505", "document": {"type": "document_url"}}, READ)
    assert (event.properties["provider"], event.usage["page_count"]) == (provider, 3)
    assert event.properties["request_model"] == "mistral-ocr-2505"


def test_code_that_is_filled_in_on_vertex_is_a_completion() -> None:
    url = f"{VERTEX}/mistralai/models/codestral-2501:rawPredict"
    event = one(url, {"prompt": "a", "suffix": "b"}, chat(chat_usage(9, 2)))
    assert event.usage.input_tokens == 9
    assert event.properties["operation"] == "completions"
    assert described("POST", url, {"inputs": "x"}) is None


def test_flux_on_azure_is_an_image() -> None:
    url = f"{AZURE}/blackforestlabs/v1/flux-2-pro?api-version=preview"
    answer = {"created": 1_790_000_000, "data": [{"b64_json": "aGk="}]}
    event = one(url, {"model": "FLUX.2-pro", "prompt": "x"}, answer)
    assert (event.event_name, event.usage.image_count) == ("image_generated", 1)
    assert described("POST", f"{AZURE}/acme/v1/thing", {"model": "m"}) is None
    assert described("GET", f"{AZURE}/mistral/azure/ocr") is None


def palm(**counts: Any) -> Json:
    sides = {f"{side}TokenCount": {"totalTokens": n} for side, n in counts.items()}
    return {"predictions": [{"content": "x"}], "metadata": {"tokenMetadata": sides}}


@pytest.mark.parametrize("model", ["text-bison@002", "chat-bison", "code-bison-32k"])
def test_a_text_of_palms_is_counted_by_its_tokens(model: str) -> None:
    url = f"{VERTEX}/google/models/{model}:predict"
    event = one(url, {"instances": [{"prompt": "x"}]}, palm(input=9, output=4))
    assert (event.event_name, event.properties["model"]) == ("text_generated", model)
    assert (event.usage.input_tokens, event.usage.output_tokens) == (9, 4)
    untold = one(url, {"instances": []}, {"predictions": [{"content": "x"}]})
    assert "input_tokens" not in untold.usage
    assert (untold.event_name, untold.properties["model"]) == ("api_calls", model)
    odd = one(url, {"instances": []}, palm(input="x", output=4))
    assert "invalid:totalTokens" in str(odd.properties["flags"])
    assert odd.usage.input_tokens is None


@pytest.mark.parametrize("place", ["moderations", "chat/moderations", "classifications"])
def test_mistral_bills_what_it_judges_by_the_token(place: str) -> None:
    answer = {
        "id": "m",
        "model": "mistral-moderation-2411",
        "results": [],
        "usage": chat_usage(9, 0),
    }
    event = one(f"{MISTRAL}/{place}", {"model": "m", "input": ["x"]}, answer)
    assert (event.event_name, event.usage.input_tokens) == ("api_calls", 9)
    assert event.properties.get("cost_usd") != "0"


def test_an_edit_is_a_text() -> None:
    answer = {
        "object": "edit",
        "choices": [{"text": "x", "index": 0}],
        "usage": chat_usage(25, 32),
    }
    event = one("https://api.openai.com/v1/edits", {"model": "d", "instruction": "x"}, answer)
    assert (event.event_name, event.usage.output_tokens) == ("text_generated", 32)


def test_a_rerank_is_known_under_any_host_that_is_asked_for_a_model() -> None:
    url = "https://ranks.test/v1/rerank"
    body: Json = {"model": "rerank-2.5", "query": "x", "documents": []}
    event = one(url, body, {"data": [], "model": "rerank-2.5", "usage": {"total_tokens": 26}})
    assert (event.properties["provider"], event.usage.input_tokens) == ("ranks.test", 26)
    assert described("POST", url, {"model": "m", "query": "x"}) is None


# -- batches ---------------------------------------------------------------------------------


def of_mistral(status: str, succeeded: int = 0) -> Json:
    return {
        "id": "0b3a",
        "object": "batch",
        "model": "mistral-small-latest",
        "status": status,
        "created_at": 1_790_000_000,
        "succeeded_requests": succeeded,
    }


JOBS = f"{MISTRAL}/batch/jobs"


@pytest.mark.parametrize(
    ("status", "succeeded", "outcome"),
    [
        ("SUCCESS", 2, "success"),
        ("FAILED", 0, "failed"),
        ("TIMEOUT_EXCEEDED", 1, "success"),
        ("TIMEOUT_EXCEEDED", 0, "failed"),
        ("CANCELLED", 0, "failed"),
    ],
)
def test_mistrals_batch_ends_as_it_says(status: str, succeeded: int, outcome: str) -> None:
    submit = Step("POST", JOBS, of_mistral("QUEUED"), {"input_files": ["f"], "model": "m"})
    going = Step("GET", f"{JOBS}/0b3a", of_mistral("RUNNING"))
    made = played(submit, going, Step("GET", f"{JOBS}/0b3a", of_mistral(status, succeeded)))
    found = made.event.properties
    assert (found["outcome"], found["service_tier"]) == (outcome, "batch")
    assert (found["usage_source"], made.pending) == ("missing", [])


def test_togethers_batch_is_wrapped_when_it_is_created_and_shouts_its_end() -> None:
    batches = "https://api.together.xyz/v1/batches"
    created = {"job": {"id": "b1", "status": "VALIDATING"}, "warning": ""}
    submit = Step("POST", batches, created, {"input_file_id": "f"})
    done = Step("GET", f"{batches}/b1", {"id": "b1", "status": "COMPLETED", "model_id": "m"})
    made = played(submit, done)
    assert made.event.properties["outcome"] == "success"
    assert (made.event.external_customer_id, made.pending) == ("acme", [])
