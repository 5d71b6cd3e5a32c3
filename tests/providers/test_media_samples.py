"""Every media sample whose provider has an adapter, from its submit to its event."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.providers.media import departures, played, samples
from tests.providers.sample_steps import PROVIDERS, steps
from tokenmeter.providers import adapters

ROWS = samples(*PROVIDERS)


def known(sample: Any) -> bool:
    host = urlsplit(steps(sample)[0].url).hostname or ""
    return any(adapter.owns(host) for adapter in adapters())


@pytest.mark.skipif(not ROWS, reason="no media samples")
@pytest.mark.parametrize("sample", [pytest.param(row, id=row["id"]) for row in ROWS])
def test_a_sample_gives_what_it_must(sample: Any) -> None:
    if not known(sample):
        pytest.skip(f"{sample['provider']} has no adapter yet")
    wanted = {**sample, "model": sample["model"].partition(" + ")[0]}
    assert departures(wanted, played(*steps(sample))) == []
