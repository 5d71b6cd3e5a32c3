"""
Anthropic's message batches: jobs that end with the download of their results.

Creating and retrieving a batch report no usage: `pending`, even when it has ended, because
only the results say what was used. They are JSON lines, one message each; their usages add up,
by model, at batch rates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from tokenmeter.providers.anthropic_messages import read, read_error, settled
from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import NO_READING, Call, Json, Part, Reading, count, mapping
from tokenmeter.usage import Number, Usage

ENTRY_STATES = ("succeeded", "errored", "canceled", "expired")
# What distinguishes two prices within one batch.
_PRICED_BY = ("speed", "inference_geo")


def read_batch(payload: Json) -> Reading:
    """Read the answer to create or retrieve: a job that goes on, or one that yields nothing."""
    if payload.get("type") == "error":
        return read_error(payload)
    batch_id = label(payload.get("id"))
    if batch_id is None:
        return NO_READING
    pending = Reading(
        response_id=batch_id,
        state="pending",
        created=label(payload.get("ended_at")) or label(payload.get("created_at")),
    )
    if payload.get("processing_status") != "ended":
        return pending
    tally = {name: _entries(payload, name) for name in ENTRY_STATES}
    if tally["succeeded"] != 0 or not any(tally.values()):
        return pending  # its results will say what was used
    return replace(pending, state="failed", error_type=_worst(tally), dimensions=_tally(tally))


def _entries(payload: Json, name: str) -> int | None:
    return count(mapping(payload.get("request_counts")).get(name))


def _worst(tally: Mapping[str, Number | None]) -> str:
    """Name what became of most entries of a batch without a success."""
    return f"batch_{max(ENTRY_STATES[1:], key=lambda name: tally.get(name) or 0)}"


def _tally(tally: Mapping[str, Number | None]) -> dict[str, str]:
    return {f"batch_{name}": str(n) for name, n in tally.items() if n is not None}


def read_result(line: Json) -> Reading:
    """
    Read one line of the results; such readings can be added.

    The metrics are named by model, and what became of the entries is counted beside them: so
    the results of any length take the memory of their models.
    """
    if line.get("type") == "error":
        return read_error(line)
    result = mapping(line.get("result"))
    state = result.get("type")
    if state not in ENTRY_STATES:
        return Reading(flags=frozenset({"unknown:result"}))
    entry = Reading(usage=Usage({_name("entries", state): 1}))
    return entry.plus(_read_message(result)) if state == "succeeded" else entry


def _read_message(result: Json) -> Reading:
    message = settled(read(mapping(result.get("message"))))
    usage = _named(message.usage, message.model, message.dimensions)
    for part in message.parts:
        usage = usage + _named(part.usage, part.model or message.model, part.dimensions)
    return Reading(usage=usage, flags=message.flags)


def _name(metric: str, model: str | None, dimensions: Mapping[str, str] | None = None) -> str:
    """Name a metric of one model: a JSON list, so that any model's name fits."""
    return json.dumps([model or "", *((dimensions or {}).get(d, "") for d in _PRICED_BY), metric])


def _named(usage: Usage, model: str | None, dimensions: Mapping[str, str]) -> Usage:
    return Usage({_name(metric, model, dimensions): n for metric, n in usage.items()})


def settle_results(reading: Reading, call: Call) -> Reading:
    """Turn the summed lines into one usage per model: the first is the batch's, others Parts."""
    tally: dict[str, Number] = {}
    groups: dict[tuple[str, ...], dict[str, Number]] = {}
    for name, number in reading.usage.items():
        *group, metric = json.loads(name)
        if metric == "entries":
            tally[group[0]] = number
        else:
            groups.setdefault(tuple(group), {})[metric] = number
    if not tally:
        return replace(reading, usage=call.usage)  # no results: it does not end the job
    batch = replace(
        reading,
        usage=call.usage,
        response_id=call.job_id,
        dimensions={"service_tier": "batch", **_tally(tally)},
    )
    if "succeeded" not in tally:
        return replace(batch, state="failed", error_type=_worst(tally))
    return _with_models(batch, _parts(groups))


def _with_models(batch: Reading, models: list[Part]) -> Reading:
    if not models:
        return batch
    first, *others = models
    return replace(
        batch,
        usage=batch.usage | first.usage,
        model=first.model,
        parts=tuple(others),
        dimensions={**batch.dimensions, **first.dimensions},
    )


def _parts(groups: Mapping[tuple[str, ...], Mapping[str, Number]]) -> list[Part]:
    """One Part per model and terms, in an order that does not depend on that of the lines."""
    return [
        Part(
            "-".join(word for word in group if word) or "model",
            Usage(groups[group]),
            group[0] or None,
            dimensions={
                "service_tier": "batch",
                **{d: value for d, value in zip(_PRICED_BY, group[1:], strict=True) if value},
            },
        )
        for group in sorted(groups)
    ]
