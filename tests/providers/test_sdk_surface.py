"""
Every POST that the three SDKs can send is metered, or known to make no event, and why.

A new version of an SDK that asks for a path that nobody has looked at fails here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import anthropic
import openai
import pytest
from google import genai

from tokenmeter.providers import Request, find

EVENTS_PAGE = Path(__file__).parents[2] / "docs" / "events.md"
HOSTS = {
    "openai": "api.openai.com",
    "anthropic": "api.anthropic.com",
    "google": "generativelanguage.googleapis.com",
}
VERTEX = "us-central1-aiplatform.googleapis.com"
FREE = "costs nothing"
# What costs something and makes no event has the words by which docs/events.md says so.
NO_EVENT: dict[str, list[tuple[str, str]]] = {
    "openai": [
        (r"/organization/.+|/projects/.+|/webhook_endpoints.*|/vaults.*", FREE),
        (r"/moderations|/responses/input_tokens|/content_provenance_checks", FREE),
        (r"/assistants.*|/threads|/threads/x|/threads/x/(?:messages.*|runs/x)", FREE),
        (r"/conversations.*|/chat/completions/x|/evals|/evals/x", FREE),
        (r"/files|/uploads.*|/skills.*|/videos/characters|/audio/voice.*", FREE),
        (r"/fine_tuning/jobs/x/(?:pause|resume)|/fine_tuning/.+/validate", FREE),
        (r"/fine_tuning/.+/graders/run", "a grader that is run by itself"),
        (r"/vector_stores.*", "vector stores"),
        (r"/containers/.+", FREE),
        (r"/agents.*", "agent sessions"),
        (r"/chatkit/sessions.*", "ChatKit"),
        (r"/(?:realtime|live)/.+", "realtime"),
    ],
    "anthropic": [
        (r"/v1/messages/(?:count_tokens|batches/x/cancel)", FREE),
        (r"/v1/(?:organizations|compliance|tunnels|user_profiles|vaults)\b.*", FREE),
        (r"/v1/(?:files|skills|memory_stores|environments|dreams/x/archive)\b.*", FREE),
        (r"/v1/(?:agents|sessions)\b.*", "agent sessions"),
        (r"/v1/deployments.*", "deployments"),
    ],
    "google": [
        (r"/v1beta/models/m(?::countTokens|:computeTokens)?", FREE),
        (
            r"/v1beta/(?:files.*|x|x/(?:files/)?x|x/documents|auth_tokens)|/upload/v1beta/files",
            FREE,
        ),
        (r"/v1beta/(?:batches|batches/x|batches/x:cancel|tunedModels|x:cancel)", FREE),
        (r"/v1beta/(?:operations/x|x:fetchPredictOperation|interactions/x.+)", FREE),  # looks
        (r"/v1beta/(?:agents|credentials|environments|webhooks).*", FREE),
        (r"/v1beta/voices.*", FREE),
        (r"/v1beta/triggers.*", "triggers"),
        (r"/(?:upload/)?v1beta/(?:fileSearchStores|x:(?:uploadTo|import).+)", "file search"),
        (r"/v1beta/batchPredictionJobs/.+|/v1beta/(?:x/)?tuningJobs[/:].+", FREE),
    ],
}
_POST = re.compile(r'self\._post\(\s*(?:path_template\()?f?"(/[^"?]*)')
_GENAI = re.compile(r"path = f?'([^'?/][^'?]*)|method=\"POST\",\s*path=\"([^\"]*)")
_BODY = {"model": "m", "input": "x", "prompt": "x", "messages": [], "max_tokens": 3}


def sources(package: ModuleType, under: str = "") -> Iterator[str]:
    """The code of an SDK, without its own tests."""
    for path in sorted((Path(str(package.__file__)).parent / under).rglob("*.py")):
        if "tests" not in path.parts and not path.name.startswith("_"):
            yield path.read_text(encoding="utf-8")


def posted(name: str) -> set[str]:
    """What an SDK posts to; each name in a path is x."""
    if name == "google":
        pairs = {pair for code in sources(genai) for pair in _GENAI.findall(code)}
        paths = {(old and f"/v1beta/{old}") or new for old, new in pairs}
        paths = {re.sub(r"/v1beta/upload/\{+api_version\}+", "/upload/v1beta", p) for p in paths}
        paths = {re.sub(r"\{api_version\}", "v1beta", path) for path in paths}
        paths = {path.replace("{model}", "models/m") for path in paths}
    else:
        package, before = (openai, "/v1") if name == "openai" else (anthropic, "")
        paths = {before + p for code in sources(package, "resources") for p in _POST.findall(code)}
    return {re.sub(r"\{+[^}]*\}+", "x", path) for path in paths} - {"/v1beta/test/path"}


def is_metered(name: str, path: str) -> bool:
    """Whether a path is metered at its host; of Google's, also as its SDK asks Vertex for it."""
    asked = [(HOSTS[name], path)]
    if name == "google":
        asked.append((VERTEX, path.replace("/v1beta/", "/v1beta1/projects/p/locations/l/")))
    found = ((find(host, path), host, path) for host, path in asked)
    return any(
        adapter is not None and adapter.describe(Request("POST", host, path, body=_BODY))
        for adapter, host, path in found
    )


def reason(name: str, path: str) -> str | None:
    bare = path.removeprefix("/v1") if name == "openai" else path
    return next((why for form, why in NO_EVENT[name] if re.fullmatch(form, bare)), None)


@pytest.mark.parametrize("name", HOSTS)
def test_what_an_sdk_posts_is_metered_or_is_known_to_make_no_event(name: str) -> None:
    paths = posted(name)
    metered = {path for path in paths if is_metered(name, path)}
    assert len(metered) >= 4
    assert {path for path in paths - metered if reason(name, path) is None} == set()
    assert {path for path in metered if reason(name, path) not in (None, FREE)} == set()


@pytest.mark.parametrize("name", HOSTS)
def test_no_row_of_the_table_is_out_of_date(name: str) -> None:
    paths = {path.removeprefix("/v1") if name == "openai" else path for path in posted(name)}
    for form, _ in NO_EVENT[name]:
        assert any(re.fullmatch(form, path) for path in paths), form


def test_what_costs_something_and_makes_no_event_is_told() -> None:
    _, _, told = EVENTS_PAGE.read_text(encoding="utf-8").partition("## What makes no event")
    wanted = {why for rows in NO_EVENT.values() for _, why in rows} - {FREE}
    assert {why for why in wanted if why not in told} == set()
