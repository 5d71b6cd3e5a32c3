"""Which requests are metered, however their path is spelled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asgi.driving import scope_of
from tokenmeter.asgi import Incoming
from tokenmeter.asgi.routes import Routes, normal


def found(path: str, **prefixes: str) -> tuple[str, str] | None:
    scope = scope_of("POST", "/")
    route = Routes({f"/{k}": v for k, v in prefixes.items()}).find(
        Incoming({**scope, "path": path})
    )
    return None if route is None else (route.provider or "", route.path)


@pytest.mark.parametrize(
    ("path", "provider"),
    [
        ("/v1/chat/completions", "openai"),
        ("/v1/responses", "openai"),
        ("/v1/responses/resp_1", "openai"),
        ("/v1/embeddings", "openai"),
        ("/v1/images/generations", "openai"),
        ("/v1/images/edits", "openai"),
        ("/v1/videos", "openai"),
        ("/v1/audio/speech", "openai"),
        ("/openai/deployments/d/chat/completions", "openai"),
        ("/v1/messages", "anthropic"),
        ("/v1/messages/batches", "anthropic"),
        ("/v1beta/models/gemini-3.5-flash:generateContent", "google"),
        ("/v1beta/models/gemini-3.5-flash:streamGenerateContent", "google"),
        ("/v1/models/gemini-3.5-flash:generateContent", "google"),
        ("/v1/projects/p/locations/l/publishers/google/models/m:generateContent", "google-vertex"),
    ],
)
def test_the_paths_of_the_sdks_are_known(path: str, provider: str) -> None:
    assert found(path) == (provider, path)


@pytest.mark.parametrize("path", ["/", "/health", "/v1/models", "/v2/chat/completions", "/v1"])
def test_other_paths_are_not(path: str) -> None:
    assert found(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/x/../v1/chat/completions",
        "//v1/../v1/chat/completions",
        "/v1/./chat/completions",
        "/v1/chat%2Fcompletions",
        "/v1/chat%252Fcompletions",
        "/v1/chat/completions/",
        "/v1\\chat\\completions",
        "/../../v1/chat/completions",
    ],
)
def test_no_spelling_of_a_path_is_a_free_ride(path: str) -> None:
    assert found(path) is not None


def test_a_prefix_says_whose_api_it_is_and_is_left_out() -> None:
    assert found("/kling/v1/videos/image2video", kling="kling") == (
        "kling",
        "/v1/videos/image2video",
    )
    assert found("/klingon/v1/videos", kling="kling") is None


@given(st.text(alphabet="/.%2fFeE\\a", max_size=40))
def test_a_normal_path_has_no_tricks_left(path: str) -> None:
    plain = normal("/" + path)
    assert "//" not in plain
    assert "/../" not in plain + "/" or "%" in plain
    assert normal(plain) == plain or "%" in plain
