"""Taps go around what a library has, whenever it is imported, and never break its import."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tokenmeter.capture.patching import Patch, Patches

KNOWN = "class Client:\n    def send(self):\n        return 'sent'\n"


def around(wrapped: Any, _client: Any, args: Any, kwargs: Any) -> str:
    return f"seen, {wrapped(*args, **kwargs)}"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file to be written, and imported by its name."""
    path = tmp_path / f"library_{tmp_path.name.replace('-', '_')}.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    yield path
    sys.modules.pop(path.stem, None)


def patches_of(library: Path) -> Patches:
    return Patches(lambda: (Patch(library.stem, "Client", "send", around),))


def test_a_library_that_is_imported_later_is_watched_until_nobody_wants_to(library: Path) -> None:
    library.write_text(KNOWN)
    patches = patches_of(library)
    patches.acquire()
    client = importlib.import_module(library.stem).Client()
    assert client.send() == "seen, sent"
    patches.release()
    assert client.send() == "sent"


@pytest.mark.parametrize("without", ["", "class Client:\n    pass\n"], ids=["class", "method"])
def test_a_library_without_what_we_watch_is_imported_all_the_same_and_named(
    library: Path, caplog: pytest.LogCaptureFixture, without: str
) -> None:
    library.write_text(without)
    patches = patches_of(library)
    patches.acquire()
    assert importlib.import_module(library.stem)
    patches.release()
    assert f"this version of {library.stem} has no Client.send" in caplog.text
