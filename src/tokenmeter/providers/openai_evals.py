"""OpenAI's evals: runs that call models, the graders' too, and add up what each used."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tokenmeter.providers.base import Api, Json, Part, Reading, mapping, text
from tokenmeter.providers.google_content import objects
from tokenmeter.providers.openai_jobs import read_job
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_usage import walked
from tokenmeter.providers.openai_wire import Dialect, moment
from tokenmeter.usage import Usage

_OBJECT = "eval.run"


def eval_api(dialect: Dialect, operation: str) -> Api:
    """Return the Api of the runs of an eval."""
    settle = partial(settle_text, dialect)
    return Api(operation, "text_generated", read_run, settle, owns_ids=True)


def read_run(payload: Json) -> Reading:
    """
    Read a run: the first model's tokens are its own, those of the others are parts.

    What a model has used is billed, however the run ended.
    """
    if payload.get("object") != _OBJECT and "error" not in payload:
        return Reading()
    failed = mapping(payload.get("error"))
    stated = payload if failed.get("code") or failed.get("type") else {**payload, "error": None}
    reading = replace(read_job(stated), created=moment(payload.get("created_at")))
    used = [_of_model(entry) for entry in objects(payload.get("per_model_usage"))]
    if reading.state == "pending" or not used:
        return reading
    own, *others = used
    return replace(
        reading,
        usage=own.usage,
        model=own.model or reading.model,
        parts=tuple(replace(part, name=f"model-{at}") for at, part in enumerate(others, 1)),
    )


def _of_model(entry: Json) -> Part:
    counted = {k: v for k, v in entry.items() if k.endswith("_tokens")}
    return Part("", Usage(walked(counted).numbers), text(entry.get("model_name")))
