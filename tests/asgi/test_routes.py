"""Which requests are metered, however their path is spelled."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asgi.driving import scope_of
from tokenmeter.asgi import Incoming
from tokenmeter.asgi.routes import Routes, normal, prefixes_of
from tokenmeter.errors import ConfigurationError


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
        # As the SDKs of late 2026 ask: google-genai by v1, Azure's by /openai alone.
        ("/v1/tunedModels/t:generateContent", "google"),
        ("/v1/models/veo-3/operations/1", "google"),
        ("/v1/cachedContents", "google"),
        ("/v1/interactions", "google"),
        ("/v1/interactions/i_1", "google"),
        ("/v1/batches/nmwrrjwo5d8", "google"),
        ("/v1/batches/batch_1", "openai"),
        ("/v1/batches", "openai"),
        ("/openai/responses", "openai"),
        ("/openai/videos/video_1/remix", "openai"),
        ("/v1/projects/p/locations/l/publishers/google/models/m:generateContent", "google-vertex"),
        ("/v1beta1/publishers/google/models/gemini-3.5-flash:generateContent", "google-vertex"),
        ("/v1beta1/interactions", "google-vertex"),
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
        "/v1/chat/completions//",
        "/v1/chat/completions?x=1",  # as /v1/chat/completions%3Fx=1 is decoded
        "/v1/chat/completions#x",
        "/v1/chat/completions;x=1",
        "/v1;x/chat/completions",
        "/v1/chat/compl\netions",
        "/v1/chat/completions\x00",
        "/v1/chat/completions ",
        "/V1/Chat/COMPLETIONS",
        "/V1/messages",
        "v1/chat/completions",
        "http://gateway/v1/chat/completions",
        "HTTPS://u:p@gateway:8080/v1/chat/completions?x",
        "/v1/chat%2525252525252Fcompletions",
        "/" + "x/" * 3_000 + "../" * 3_000 + "v1/chat/completions",
        "/v1/chat/completions" + "/." * 3_000,
        "/chat/completions",
        "/openai/v1/responses",
    ],
)
def test_no_spelling_of_a_path_is_a_free_ride(path: str) -> None:
    assert found(path) is not None


@pytest.mark.parametrize("root", ["/gateway", "/a/b"])
def test_a_mounted_application_meters_what_is_below_its_root(root: str) -> None:
    def at(path: str) -> str | None:
        route = Routes({}).find(
            Incoming({**scope_of("POST", "/"), "path": path, "root_path": root})
        )
        return None if route is None else route.path

    assert at(f"{root}/v1/messages") == "/v1/messages"
    assert at("/v1/messages") == "/v1/messages"  # of servers that leave the root out
    assert at(f"{root}x/v1/messages") is None
    assert at(root) is None


def test_a_prefix_can_stand_for_the_paths_of_all_sdks() -> None:
    routes = Routes(prefixes_of(["/ai", "/ai/kling"]))
    for path in ("/v1/messages", "/v1/embeddings", "/v1beta/models/g:generateContent"):
        for prefix in ("", "/ai", "/AI"):
            route = routes.find(Incoming({**scope_of("POST", "/"), "path": prefix + path}))
            assert route is not None
            assert route.path == path
    assert routes.find(Incoming({**scope_of("POST", "/"), "path": "/ai/health"})) is None
    with pytest.raises(ConfigurationError, match="is a text"):
        prefixes_of("/ai")


def test_a_preflight_is_no_call() -> None:
    assert Routes({}).find(Incoming(scope_of("OPTIONS", "/v1/messages"))) is None
    assert Routes({}).find(Incoming(scope_of("post", "/v1/messages"))) is not None


def test_long_paths_of_clients_are_not_kept() -> None:
    routes = Routes({})
    tracemalloc.start()
    for number in range(3_000):
        routes.known(f"/{number}/" + "x" * 20_000)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 4 * 1024 * 1024


def test_a_prefix_says_whose_api_it_is_and_is_left_out() -> None:
    assert found("/kling/v1/videos/image2video", kling="kling") == (
        "kling",
        "/v1/videos/image2video",
    )
    assert found("/klingon/v1/videos", kling="kling") is None


@given(st.text(alphabet="/.%2fFeE\\a?#;: ", max_size=40))
def test_a_normal_path_has_no_tricks_left(path: str) -> None:
    plain = normal("/" + path)
    assert "//" not in plain
    assert "/../" not in plain + "/" or "%" in plain
    assert normal(plain) == plain or "%" in plain
