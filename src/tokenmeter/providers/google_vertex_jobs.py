"""
Jobs of Vertex AI that work on files: tuning, and batches of predictions.

A tuning job says how many tokens its data have, a batch how many requests it answered: the
answers, and the tokens of each, lie in storage of the user's own.
"""

from __future__ import annotations

import re
from dataclasses import replace

from tokenmeter.providers.base import NO_READING, Api, Call, Json, Reading, Request, mapping, text
from tokenmeter.providers.google_usage import error_type, label
from tokenmeter.usage import Usage

# projects/p/locations/l/tuningJobs/1
_PATH = re.compile(
    r"/v\d\w*/(?P<name>projects/[^/]+/locations/[^/]+"
    r"/(?P<kind>tuningJobs|batchPredictionJobs)(?P<id>/[^/:]+)?)$"
)
_STATE = "JOB_STATE_"
_FAILED = frozenset({"FAILED", "CANCELLED", "EXPIRED"})
_SUCCEEDED = frozenset({"SUCCEEDED", "PARTIALLY_SUCCEEDED"})
_INT64 = re.compile(r"\d{1,12}", re.ASCII)
_STATS = tuple(
    f"{name}DataStats"
    for name in (
        "supervisedTuning",
        "preferenceOptimization",
        "distillation",
        "reinforcementTuning",
    )
)
_SPECS = tuple(
    f"{name}Spec"
    for name in ("supervisedTuning", "preferenceOptimization", "distillation", "fullFineTuning")
)


def describe_vertex_job(request: Request, provider: str) -> Call | None:
    """Describe the creation or a poll of such a job; None for anything else."""
    found = _PATH.search(request.path)
    if found is None or request.method != ("GET" if found["id"] else "POST"):
        return None
    api = _APIS[found["kind"]]
    if found["id"]:
        return Call(provider, api, repeated=True, job_id=found["name"])
    model = request.body.get("baseModel", request.body.get("model"))
    return Call(provider, api, request_model=_model(model))


def _model(value: object) -> str | None:
    """Return the name of a model: the last word of `publishers/google/models/gemini-2.5-pro`."""
    name = label(value)
    return name.rpartition("/")[2] or None if name else None


def read_tuning(payload: Json) -> Reading:
    """
    Read a tuning job: the tokens of its data, as often as it went through them, are billed.

    1,000 tokens in 3 epochs are 3,000 trained tokens. Without the epochs they are 1,000, flagged.
    """
    reading = _read_job(payload, payload.get("baseModel"))
    if reading.state != "success":
        return reading
    stats = mapping(payload.get("tuningDataStats"))
    tokens = next((n for name in _STATS if (n := _billable(stats.get(name))) is not None), None)
    if tokens is None:
        return reading
    epochs = next((n for name in _SPECS if (n := _epochs(payload.get(name)))), None)
    if epochs is None:
        reading = replace(reading, flags=frozenset({"missing:epochs"}))
    return replace(reading, usage=Usage(trained_tokens=tokens * (epochs or 1)))


def read_predictions(payload: Json) -> Reading:
    """
    Read a batch of predictions: how many requests were answered is all that it tells.

    That is a dimension, for it is no usage: the tokens of the answers are what is billed.
    """
    reading = _read_job(payload, payload.get("model"))
    answered = _int64(mapping(payload.get("completionStats")).get("successfulCount"))
    if reading.state != "success" or answered is None:
        return reading
    return replace(reading, dimensions={"answered": str(answered)})


def _read_job(payload: Json, model: object) -> Reading:
    failure, name = error_type(payload), label(payload.get("name"))
    stage = (text(payload.get("state")) or "").removeprefix(_STATE)
    if name is None and failure is None:
        return NO_READING
    reading = Reading(
        model=_model(model),
        response_id=name,
        created=label(payload.get("endTime")) or label(payload.get("createTime")),
        state="pending",
    )
    if stage in _FAILED or (failure is not None and not stage):
        return replace(reading, state="failed", error_type=failure or stage.lower())
    return replace(reading, state="success") if stage in _SUCCEEDED else reading


def _billable(stats: object) -> int | None:
    return _int64(mapping(stats).get("totalBillableTokenCount"))


def _epochs(spec: object) -> int | None:
    return _int64(mapping(mapping(spec).get("hyperParameters")).get("epochCount"))


def _int64(value: object) -> int | None:
    """Read a count, which is a text in Google's JSON; None if it is none."""
    written = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(written) if _INT64.fullmatch(written) else None


def _settle(reading: Reading, call: Call) -> Reading:
    return replace(reading, response_id=reading.response_id or call.job_id)


def _settle_batch(reading: Reading, call: Call) -> Reading:
    dimensions = {**reading.dimensions, "service_tier": "batch"}
    return replace(_settle(reading, call), dimensions=dimensions)


_APIS = {
    "tuningJobs": Api("tuningJobs", "api_calls", read_tuning, _settle, owns_ids=True),
    "batchPredictionJobs": Api(
        "batchPredictionJobs", "text_generated", read_predictions, _settle_batch, owns_ids=True
    ),
}
