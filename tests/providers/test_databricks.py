"""Databricks' serving endpoints: the request's form tells the task."""

from __future__ import annotations

import pytest

from tests.providers.exchanges import ASK, Json, chat, chat_usage, gemini, message
from tests.providers.media import Step, described, played

GEMINI = gemini({"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11})
WORKSPACE = "adb-12.3.azuredatabricks.net"
URL = f"https://{WORKSPACE}/serving-endpoints/databricks-claude/invocations"


@pytest.mark.parametrize(
    ("body", "operation"),
    [
        ({"messages": ASK["messages"]}, "chat.completions"),
        ({"prompt": "x"}, "completions"),
        ({"input": ["x"]}, "embeddings"),
    ],
)
def test_an_invocation_is_read_by_what_it_asks(body: Json, operation: str) -> None:
    event = played(Step("POST", URL, chat(chat_usage(9, 2)), body)).event
    found = event.properties
    assert (found["provider"], found["operation"]) == ("databricks", operation)
    assert (found["request_model"], event.usage.input_tokens) == ("databricks-claude", 9)


def test_a_streamed_invocation_is_read_to_its_usage() -> None:
    piece = '{"id": "c", "choices": [{"delta": {}, "finish_reason": "stop"}], "usage": %s}'
    used = '{"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}'
    stream = f"data: {piece % 'null'}\n\ndata: {piece % used}\n\ndata: [DONE]\n\n"
    event = played(Step("POST", URL, stream, {**ASK, "stream": True})).event
    assert (event.usage.output_tokens, event.properties["streamed"]) == (2, "true")


@pytest.mark.parametrize(
    ("path", "answer", "operation"),
    [
        ("chat/completions", chat(chat_usage(9, 2)), "chat.completions"),
        ("anthropic/v1/messages", message({"input_tokens": 9, "output_tokens": 2}), "messages"),
        ("gemini/v1beta/models/databricks-m:generateContent", GEMINI, "generateContent"),
    ],
)
@pytest.mark.parametrize(
    "workspace", [WORKSPACE, "dbc-1.cloud.databricks.com", "1.2.gcp.databricks.com"]
)
def test_a_workspace_is_databricks_whichever_makers_path_is_called(
    workspace: str, path: str, answer: Json, operation: str
) -> None:
    url = f"https://{workspace}/serving-endpoints/{path}"
    event = played(Step("POST", url, answer, {**ASK, "model": "databricks-m"})).event
    found = event.properties
    assert (found["provider"], found["operation"]) == ("databricks", operation)
    assert (event.usage.input_tokens, event.usage.output_tokens) == (9, 2)


def test_a_model_of_databricks_own_has_a_price() -> None:
    url = f"https://{WORKSPACE}/serving-endpoints/chat/completions"
    asked = {**ASK, "model": "databricks-gpt-oss-20b"}
    event = played(Step("POST", url, chat(chat_usage(9, 2)), asked)).event
    assert event.properties["cost_source"] == "computed"


def test_what_a_workspace_serves_beside_models_is_not_metered() -> None:
    assert described("POST", f"https://{WORKSPACE}/api/2.0/embeddings", {"input": "x"}) is None
    assert described("POST", f"https://{WORKSPACE}/api/2.1/jobs/create", {"name": "x"}) is None


def test_what_cannot_be_a_language_model_is_not_metered() -> None:
    assert described("POST", URL, {"dataframe_split": {}}) is None
    assert described("GET", URL, {"messages": []}) is None


def test_a_model_behind_an_endpoint_of_sagemaker_is_read_alike() -> None:
    host = "runtime.sagemaker.us-east-1.amazonaws.com"
    url = f"https://{host}/endpoints/my-llama/invocations"
    event = played(Step("POST", url, chat(chat_usage(9, 2)), ASK)).event
    assert (event.properties["provider"], event.usage.input_tokens) == (host, 9)
    bare = {"messages": ASK["messages"]}
    call = described("POST", url, bare)
    assert call is not None
    assert call.request_model == "my-llama"
    assert described("POST", url, {"inputs": "x"}) is None
