"""Every example runs as a user runs it, without keys and without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import check_is_short, check_says

HERE = Path(__file__).parents[1] / "examples"
SAYS = {
    "agent_run": "request-42 made 3 calls\ninput: 695 output: 194\n",
    "aiohttp_stream": "read to the end\nsuccess 31 112",
    "anthropic_cached": "the event says: 3974 input tokens",
    "asgi_django": "acme /ask 0.0010344 USD",
    "asgi_fastapi": "acme /ask 0.0010344 USD",
    "asgi_litestar": "acme /ask 0.0010344 USD",
    "async_stream": "success 31 112",
    "background_response": "queued\nin_progress\ncompleted\nacme reports",
    "boto3_bedrock": "bedrock nova-2-lite 43 60",
    "decorator": "world_generated acme",
    "engine_invoice": "cost: 0.0010344 USD, charge: 0.00124128 USD",
    "engine_wallet": "0.3 USD do not fit: 0.2 are available.\n"
    "available: 0.88 USD\nwallet.alert 0.4\ndebit 60 40\ncredit 100 100\n",
    "gemini_thoughts": "output tokens: 780\nof which thoughts: 724",
    "langchain_chat": "attempt 1 failed None None\nattempt 2 failed None None\n"
    "attempt 3 success 1321 62\n",
    "litellm_chat": "attempt 1 failed None None\nattempt 2 failed None None\n"
    "attempt 3 success 1321 62\n",
    "openai_chat": "cost: 0.0010344 USD",
    "pydantic_ai_agent": "PydanticAI counts 499 52\ncall 231 9 success\n"
    "call 268 43 success\nthe run 499 52\n",
    "raw_httpx": "openai chat.completions 1318 183",
    "requests_retries": "attempt 1 failed 429 None None\nattempt 2 failed 429 None None\n"
    "attempt 3 success 200 1321 62\n",
    "tokens_total": "input tokens of gpt-4: 29",
}


def test_every_example_is_listed_here() -> None:
    assert {path.stem for path in HERE.glob("*.py")} == {*SAYS, "replay"}


@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs_and_says_what_was_used(name: str, tmp_path: Path) -> None:
    check_says(HERE / f"{name}.py", SAYS[name], tmp_path)


@pytest.mark.parametrize("name", SAYS)
def test_an_example_is_read_in_a_minute(name: str) -> None:
    check_is_short(HERE / f"{name}.py")


def test_the_example_gateway_runs_and_says_what_was_used(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "TOKENMETER_HOME": str(tmp_path / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", str(HERE / "gateway" / "run")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "without a key: 401" in done.stdout
    assert "acme" in done.stdout.rpartition("without a key")[2]
