"""Every media sample whose provider has an adapter, from its submit to its event."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from tests.providers.media import (
    FURTHER_SAMPLES,
    Json,
    Played,
    departures,
    played,
    samples,
)
from tests.providers.sample_steps import PROVIDERS, steps
from tokenmeter.providers import find

ROWS = samples(*PROVIDERS)
FURTHER = samples(*PROVIDERS, path=FURTHER_SAMPLES)


def is_known(sample: Json) -> bool:
    url = urlsplit(steps(sample)[0].url)
    return find(url.hostname or "", url.path) is not None


def one_call(made: Played) -> Played:
    """A hidden sub-call has an event of its own; the call's stands for the sample."""
    own = [event for event in made.events if "part" not in event.properties]
    return replace(made, events=own)


@pytest.mark.parametrize("sample", [pytest.param(r, id=r["id"]) for r in (*ROWS, *FURTHER)])
def test_a_sample_gives_what_it_must(sample: Json) -> None:
    assert is_known(sample)
    wanted = {**sample, "model": sample["model"].partition(" + ")[0]}
    assert departures(wanted, one_call(played(*steps(sample)))) == []


def test_there_are_further_samples_of_every_provider() -> None:
    assert {row["provider"] for row in FURTHER} == set(PROVIDERS)
    assert len({row["id"] for row in FURTHER}) == len(FURTHER) > 70
