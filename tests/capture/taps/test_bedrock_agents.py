"""Bedrock's agents, knowledge bases and long jobs, through boto3."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.capture.play import Answer, chunks_of
from tests.capture.taps import bedrock
from tests.capture.taps.frames import event, frame
from tests.capture.taps.server import Server, serving
from tests.capture.test_openai_lifecycle import assert_usage, events_of, only
from tests.capture.wire import JSON
from tokenmeter import Event, TokenMeter

Json = dict[str, Any]
HAIKU, NOVA = "anthropic.claude-3-haiku-20240307-v1:0", "us.amazon.nova-pro-v1:0"
JOB = "arn:aws:bedrock:us-east-1:123456789012:async-invoke/s7w1"
AGENT = {
    "agentId": "AGENTID123",
    "agentAliasId": "TSTALIASID",
    "sessionId": "s1",
    "inputText": "x",
}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
def agents(server: Server) -> Iterator[Any]:
    with bedrock.client(server, "bedrock-agent-runtime") as made:
        yield made


@pytest.fixture
def runtime(server: Server) -> Iterator[Any]:
    with bedrock.client(server) as made:
        yield made


def step(trace: str, **fields: Any) -> bytes:
    """One frame of a trace."""
    return event({"sessionId": "s", "trace": {trace: fields}}, "trace")


def asked(trace_id: str, model: str, trace: str = "orchestrationTrace") -> bytes:
    return step(trace, modelInvocationInput={"traceId": trace_id, "foundationModel": model})


def answered(trace_id: str, sent: int, made: int, trace: str = "orchestrationTrace") -> bytes:
    usage = {"inputTokens": sent, "outputTokens": made}
    told = {"traceId": trace_id, "metadata": {"usage": usage, "clientRequestId": "c"}}
    return step(trace, modelInvocationOutput=told)


def chunk(said: str) -> bytes:
    return event({"bytes": base64.b64encode(said.encode()).decode()}, "chunk")


def frames(*parts: bytes) -> Answer:
    return Answer(200, dict(bedrock.FRAMES), chunks_of(b"".join(parts), 61))


def body(payload: Json) -> Answer:
    return Answer(200, dict(JSON), [json.dumps(payload).encode()])


def run(agents: Any, **more: Any) -> list[str]:
    answer = agents.invoke_agent(**AGENT, enableTrace=True, **more)
    return [part["chunk"]["bytes"].decode() for part in answer["completion"] if "chunk" in part]


SAID = (
    *("It is dry.", "", "[1]", '{"usage": {"inputTokens": 7}}', '{"message": "no"}'),
    *(
        '{"__exception": "x", ":event-type": "trace", "trace": {"failureTrace": {}}}',
        "{} x",
        "{a} or {b}",
    ),
)


@pytest.mark.parametrize("said", SAID)
def test_an_agent_is_metered_by_what_its_trace_says_of_each_model(
    meter: TokenMeter, server: Server, agents: Any, said: str
) -> None:
    server.play(
        frames(
            asked("t-pre", HAIKU, "preProcessingTrace"),
            answered("t-pre", 100, 10, "preProcessingTrace"),
            asked("t-0", HAIKU),
            answered("t-0", 200, 20),
            step("orchestrationTrace", observation={"finalResponse": {"text": said}}),
            asked("t-1", NOVA),
            answered("t-1", 5, 3),
            chunk(said),
        )
    )
    assert run(agents) == [said]
    own, part = sorted(events_of(meter), key=lambda e: "part" in e.properties)
    assert_usage(own, input_tokens=300, output_tokens=30)
    assert_usage(part, input_tokens=5, output_tokens=3)
    assert (own.properties["model"], part.properties["model"]) == (HAIKU, NOVA)
    assert (own.properties["provider"], own.properties["outcome"]) == ("bedrock", "success")


def test_an_agent_that_was_not_asked_for_its_trace_is_an_event_without_usage(
    meter: TokenMeter, server: Server, agents: Any
) -> None:
    server.play(frames(chunk("It is dry.")))
    run(agents)
    found = only(meter).properties
    assert (found["outcome"], found["usage_source"]) == ("success", "missing")
    assert found["cost_source"] == "unpriced"


def test_an_agent_that_fails_on_the_way_keeps_what_was_used(
    meter: TokenMeter, server: Server, agents: Any
) -> None:
    raised = frame(
        b'{"message":"slow down"}',
        exception_type="throttlingException",
        content_type="application/json",
        message_type="exception",
    )
    server.play(frames(asked("t-0", HAIKU), answered("t-0", 200, 20), raised))
    with pytest.raises(Exception, match="slow down"):
        run(agents)
    event_ = only(meter)
    assert (event_.usage.input_tokens, event_.usage.output_tokens) == (200, 20)
    assert event_.properties["error_type"] == "throttlingException"


def test_an_inline_agent_names_its_model_in_the_request(
    meter: TokenMeter, server: Server, agents: Any
) -> None:
    server.play(frames(answered("t-0", 200, 20), chunk("x")))
    told = agents.invoke_inline_agent(
        foundationModel=NOVA, instruction="y" * 40, sessionId="s1", inputText="x", enableTrace=True
    )
    assert list(told["completion"])
    assert only(meter).properties["model"] == NOVA


def test_a_knowledge_base_answers_without_usage_under_its_models_name(
    meter: TokenMeter, server: Server, agents: Any
) -> None:
    server.play(body({"output": {"text": "x"}, "sessionId": "s", "citations": []}))
    base = {
        "knowledgeBaseId": "KB12345678",
        "modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{HAIKU}",
    }
    settings = {"type": "KNOWLEDGE_BASE", "knowledgeBaseConfiguration": base}
    agents.retrieve_and_generate(input={"text": "x"}, retrieveAndGenerateConfiguration=settings)
    found = only(meter).properties
    assert (found["request_model"], found["usage_source"]) == (HAIKU, "missing")


def test_the_stream_of_a_knowledge_base_and_a_rerank_are_metered_and_a_search_is_not(
    meter: TokenMeter, server: Server, agents: Any
) -> None:
    server.play(frames(event({"text": "x"}, "output")))
    told = agents.retrieve_and_generate_stream(input={"text": "x"})
    assert [part["output"]["text"] for part in told["stream"]] == ["x"]
    assert only(meter).properties["outcome"] == "success"
    server.play(body({"results": [{"index": 0, "relevanceScore": 0.5}]}))
    arn = "arn:aws:bedrock:us-east-1::foundation-model/cohere.rerank-v3-5:0"
    model = {"modelConfiguration": {"modelArn": arn}}
    ranking = {"type": "BEDROCK_RERANKING_MODEL", "bedrockRerankingConfiguration": model}
    text = {
        "type": "TEXT",
        "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": "y"}},
    }
    agents.rerank(
        queries=[{"type": "TEXT", "textQuery": {"text": "x"}}],
        sources=[{"type": "INLINE", "inlineDocumentSource": text["inlineDocumentSource"]}],
        rerankingConfiguration=ranking,
    )
    agents.retrieve(knowledgeBaseId="KB12345678", retrievalQuery={"text": "x"})
    _, ranked = events_of(meter)
    assert ranked.event_name == "api_calls"
    assert ranked.properties["request_model"] == "cohere.rerank-v3-5:0"


# -- jobs ------------------------------------------------------------------------------------


def submitted(runtime: Any, server: Server, model: str, asked_for: Json) -> None:
    server.play(body({"invocationArn": JOB}))
    runtime.start_async_invoke(
        modelId=model,
        modelInput=asked_for,
        outputDataConfig={"s3OutputDataConfig": {"s3Uri": "s3://bucket"}},
    )


def stands(status: str, model: str, **fields: Any) -> Json:
    arn = f"arn:aws:bedrock:us-east-1::foundation-model/{model}"
    times = {"submitTime": "2026-11-28T10:00:00Z", "endTime": "2026-11-28T10:05:00Z"}
    place = {"outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://bucket"}}}
    return {"invocationArn": JOB, "modelArn": arn, "status": status, **times, **place, **fields}


def seen(runtime: Any, server: Server, told: Json) -> None:
    server.play(body(told))
    runtime.get_async_invoke(invocationArn=JOB)


def job_of(meter: TokenMeter) -> Event:
    event_ = only(meter)
    assert meter.jobs.pending() == []
    return event_


REEL, RAY = "amazon.nova-reel-v1:1", "luma.ray-v2:0"
FRAME = {"fps": 24, "dimension": "1280x720", "seed": 1}
SHOTS = [{"text": "a", "image": {"format": "png"}}, {"text": "b"}, {"text": "c"}]


@pytest.mark.parametrize(
    ("model", "asked_for", "length", "facts"),
    [
        (
            REEL,
            {
                "taskType": "TEXT_VIDEO",
                "textToVideoParams": {"text": "x", "images": [{"format": "png"}]},
                "videoGenerationConfig": {"durationSeconds": 6, **FRAME},
            },
            6,
            {"size": "1280x720", "fps": "24", "resolution": "720p", "input_type": "image"},
        ),
        (
            REEL,
            {
                "taskType": "MULTI_SHOT_AUTOMATED",
                "multiShotAutomatedParams": {"text": "x"},
                "videoGenerationConfig": {"durationSeconds": 18, **FRAME},
            },
            18,
            {"input_type": "text"},
        ),
        (
            REEL,
            {"taskType": "MULTI_SHOT_MANUAL", "multiShotManualParams": {"shots": SHOTS}},
            18,
            {"input_type": "image"},
        ),
        (
            RAY,
            {"prompt": "x", "duration": "9s", "resolution": "540p", "aspect_ratio": "16:9"},
            9,
            {"resolution": "540p", "aspect_ratio": "16:9"},
        ),
        (RAY, {"prompt": "x", "keyframes": {"frame0": {}}}, 5, {"input_type": "image"}),
    ],
)
def test_a_video_that_is_fetched_later_has_the_length_that_its_submit_asked_for(
    meter: TokenMeter,
    server: Server,
    runtime: Any,
    model: str,
    asked_for: Json,
    length: int,
    facts: dict[str, str],
) -> None:
    submitted(runtime, server, model, asked_for)
    seen(runtime, server, stands("InProgress", model))
    assert events_of(meter) == []
    seen(runtime, server, stands("Completed", model))
    seen(runtime, server, stands("Completed", model))
    event_ = job_of(meter)
    assert event_.usage["video_seconds"] == length
    assert event_.usage["video_count"] == event_.usage["video_jobs"] == 1
    assert facts.items() <= event_.properties.items()
    assert (event_.event_name, event_.properties["model"]) == ("video_generated", model)
    assert "123456789012" not in json.dumps(event_.to_dict(), default=str)


def test_a_job_that_failed_is_a_failure(meter: TokenMeter, server: Server, runtime: Any) -> None:
    submitted(runtime, server, REEL, {"taskType": "TEXT_VIDEO"})
    seen(runtime, server, stands("Failed", REEL, failureMessage="content filtered"))
    assert job_of(meter).properties["outcome"] == "failed"


def test_a_page_of_jobs_settles_the_one_that_has_ended(
    meter: TokenMeter, server: Server, runtime: Any
) -> None:
    submitted(runtime, server, REEL, {"taskType": "TEXT_VIDEO"})
    going = {**stands("InProgress", REEL), "invocationArn": f"{JOB}2"}
    server.play(body({"asyncInvokeSummaries": [stands("Completed", REEL), going]}))
    runtime.list_async_invokes()
    assert job_of(meter).usage["video_seconds"] == 6


def test_embeddings_that_are_fetched_later_are_an_event_without_usage(
    meter: TokenMeter, server: Server, runtime: Any
) -> None:
    model = "twelvelabs.marengo-embed-2-7-v1:0"
    submitted(runtime, server, model, {"inputType": "video"})
    seen(runtime, server, stands("Completed", model))
    event_ = job_of(meter)
    assert (event_.event_name, event_.properties["usage_source"]) == (
        "embedding_created",
        "missing",
    )


def test_a_refused_job_is_a_failure_at_once(
    meter: TokenMeter, server: Server, runtime: Any
) -> None:
    server.play(bedrock.throttled())
    with pytest.raises(Exception, match="slow down"):
        runtime.start_async_invoke(
            modelId=REEL,
            modelInput={},
            outputDataConfig={"s3OutputDataConfig": {"s3Uri": "s3://bucket"}},
        )
    assert job_of(meter).properties["error_type"] == "ThrottlingException"
