"""
What is measured: each subject instruments the openai client of its own environment.

A subject returns the function that waits for what it does in the background, and the one that
says whether the last call's tokens arrived where they belong.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from capture_wire import INPUT_TOKENS, OUTPUT_TOKENS


@dataclass(frozen=True)
class Subject:
    """An instrumentation that is switched on."""

    settle: Callable[[], object]  # wait until what was recorded is delivered
    arrived: Callable[[], bool]  # whether the last call's tokens were
    packages: tuple[str, ...]  # whose versions are worth knowing


class _Exporter:
    """Takes spans as an exporter does, keeps the last one and sends nothing."""

    def __init__(self) -> None:
        self._last: Any = None
        self._success = importlib.import_module(
            "opentelemetry.sdk.trace.export"
        ).SpanExportResult.SUCCESS

    def export(self, spans: Any) -> Any:
        self._last = spans[-1]
        return self._success

    def shutdown(self) -> None:
        """Nothing to let go of."""

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True

    def arrived(self) -> bool:
        found = "" if self._last is None else str(dict(self._last.attributes))
        self._last = None
        return str(INPUT_TOKENS) in found and str(OUTPUT_TOKENS) in found


def tokenmeter() -> Subject:
    """Ours: the journal on disk, the shipper thread, prices, and the memory backend."""
    library = importlib.import_module("tokenmeter")
    meter = library.TokenMeter("memory:", state_dir=tempfile.mkdtemp(prefix="tokenmeter-bench-"))
    meter.instrument()

    def arrived() -> bool:
        meter.flush()
        last = meter.backend.events[-1].usage if meter.backend.events else {}
        meter.backend.events.clear()
        found = (last.get("input_tokens"), last.get("output_tokens"))
        return found == (INPUT_TOKENS, OUTPUT_TOKENS)

    return Subject(meter.flush, arrived, ("tokenmeter",))


def by_hand() -> Subject:
    """No meter: the least that one could cost. See capture_byhand."""
    tap = importlib.import_module("capture_byhand").switch_on()
    return Subject(lambda: None, lambda: f'"input_tokens":{INPUT_TOKENS}'.encode() in tap.last, ())


def _telemetry(module: str, package: str) -> Subject:
    """An OpenTelemetry instrumentation, with the SDK's cheapest way to an exporter."""
    trace = importlib.import_module("opentelemetry.sdk.trace")
    export = importlib.import_module("opentelemetry.sdk.trace.export")
    exporter = _Exporter()
    provider = trace.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    importlib.import_module(module).OpenAIInstrumentor().instrument(tracer_provider=provider)
    return Subject(lambda: None, exporter.arrived, (package, "opentelemetry-sdk"))


def otel_v2() -> Subject:
    """OpenTelemetry's older instrumentation, from its contrib repository."""
    return _telemetry(
        "opentelemetry.instrumentation.openai_v2", "opentelemetry-instrumentation-openai-v2"
    )


def otel_genai() -> Subject:
    """OpenTelemetry's newer instrumentation."""
    return _telemetry(
        "opentelemetry.instrumentation.genai.openai", "opentelemetry-instrumentation-genai-openai"
    )


def openllmetry() -> Subject:
    """OpenLLMetry, told not to record prompts and answers."""
    os.environ["TRACELOOP_TRACE_CONTENT"] = "false"
    return _telemetry(
        "opentelemetry.instrumentation.openai", "opentelemetry-instrumentation-openai"
    )


def langfuse() -> Subject:
    """Langfuse; it always records prompts and answers."""
    exporter = _Exporter()
    client = importlib.import_module("langfuse").Langfuse(
        public_key="pk-none", secret_key="sk-none", span_exporter=exporter
    )
    importlib.import_module("langfuse.openai")

    def arrived() -> bool:
        client.flush()
        return exporter.arrived()

    return Subject(client.flush, arrived, ("langfuse",))


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "tokenmeter": tokenmeter,
    "by-hand": by_hand,
    "otel-v2": otel_v2,
    "otel-genai": otel_genai,
    "openllmetry": openllmetry,
    "langfuse": langfuse,
}
