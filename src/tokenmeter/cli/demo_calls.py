"""The calls of the demo: what an application does with the providers' own SDKs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tokenmeter.cli.demo_replay import bit_by_bit

NO_KEY = "no-key-needed"
OPENAI = "https://api.openai.com/v1"
ANTHROPIC = "https://api.anthropic.com"
GOOGLE = "https://generativelanguage.googleapis.com"
GPT = "gpt-5.4-mini"
CLAUDE = "claude-sonnet-4-6"
GEMINI = "gemini-3.5-flash"
ANSWER_TOKENS = 1_024
TOO_MANY_TOKENS = 400_000
PIECES_READ = 20  # of the stream that is left half-way
TRIES = 3  # of the hand-written retry loop

# Stands for a real prompt of the length that providers cache.
RULES = (
    "Plants travel in a closed box with a damp wick. A customer who finds a dry or broken plant "
    "within three days of delivery sends one photo and chooses between a new plant and the "
    "money back. We ask no further questions and want nothing returned. Pots, tools and soil "
    "can be sent back within thirty days, unused, in any box.\n"
)
LETTER = (
    "Dear gardeners, the lemon tree came on Thursday and stood in the rain until evening, yet "
    "it looks well. The maple was dry. You paid it back within the hour, thank you. Could you "
    "print the label larger? I cannot read it without my glasses. Yours, a customer.\n"
)
HANDBOOK = RULES * 17
LETTERS = LETTER * 19


def chat() -> None:
    """Ask one question, with a handbook that the provider has cached."""
    from openai import OpenAI

    OpenAI(api_key=NO_KEY, base_url=OPENAI).chat.completions.create(
        model=GPT,
        messages=[
            {"role": "system", "content": HANDBOOK},
            {"role": "user", "content": "My plant arrived dry. Can I have my money back?"},
        ],
    )


def stream() -> None:
    """Read a stream to its end, without `stream_options`: the meter asks for the usage."""
    from openai import OpenAI

    client = OpenAI(api_key=NO_KEY, base_url=OPENAI)
    prompt = "Write a care card for a lemon tree in a pot: light, water, food, winter, repotting."
    for _chunk in client.chat.completions.create(
        model=GPT, messages=[{"role": "user", "content": prompt}], stream=True
    ):
        pass


def abandoned_stream(session: str) -> None:
    """Leave a stream half-way, as when the user closes the page."""
    from anthropic import Anthropic

    client = Anthropic(
        api_key=NO_KEY,
        base_url=ANTHROPIC,
        http_client=bit_by_bit("anthropic_stream", session=session),
    )
    with client.messages.stream(
        model=CLAUDE,
        max_tokens=ANSWER_TOKENS,
        system=HANDBOOK,
        messages=[{"role": "user", "content": "Draft a plan for the spring campaign."}],
    ) as answer:
        for read, _text in enumerate(answer.text_stream, start=1):
            if read == PIECES_READ:
                break


def retried_by_the_sdk() -> None:
    """Run into a rate limit twice; `max_retries` of the SDK tries again by itself."""
    from openai import OpenAI

    OpenAI(api_key=NO_KEY, base_url=OPENAI, max_retries=2).chat.completions.create(
        model=GPT,
        messages=[
            {"role": "system", "content": HANDBOOK},
            {"role": "user", "content": "Where is my order 1042, and will it survive the post?"},
        ],
    )


def retried_by_hand() -> None:
    """Lose an answer to an overload in mid-stream, and ask again in a loop of one's own."""
    from anthropic import Anthropic, APIStatusError

    client = Anthropic(api_key=NO_KEY, base_url=ANTHROPIC, max_retries=0)
    for _ in range(TRIES):
        with (
            contextlib.suppress(APIStatusError),
            client.messages.stream(
                model=CLAUDE,
                max_tokens=ANSWER_TOKENS,
                system=HANDBOOK,
                messages=[{"role": "user", "content": "Where is my order 1042?"}],
            ) as answer,
        ):
            answer.until_done()
            return


def refused() -> None:
    """Ask for more than the model can give; the provider answers 400."""
    from openai import BadRequestError, OpenAI

    with contextlib.suppress(BadRequestError):
        OpenAI(api_key=NO_KEY, base_url=OPENAI).chat.completions.create(
            model=GPT,
            max_completion_tokens=TOO_MANY_TOKENS,
            messages=[{"role": "user", "content": "Tell me everything about lemon trees."}],
        )


def cached() -> None:
    """Read the handbook from the cache and write this month's letters to it."""
    from anthropic import Anthropic

    Anthropic(api_key=NO_KEY, base_url=ANTHROPIC).messages.create(
        model=CLAUDE,
        max_tokens=ANSWER_TOKENS,
        system=[
            {"type": "text", "text": HANDBOOK * 2, "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": LETTERS, "cache_control": {"type": "ephemeral"}},
        ],
        messages=[{"role": "user", "content": "Which themes return in these letters?"}],
    )


def thinking() -> None:
    """Ask Gemini something that it has to think about."""
    from google import genai

    client = genai.Client(api_key=NO_KEY, vertexai=False, http_options={"base_url": GOOGLE})
    client.models.generate_content(
        model=GEMINI,
        contents="Three equal greenhouses lose 4.3 kW each when it freezes to minus five degrees. "
        "One of our heaters gives 0.5 kW. Heat does not move between the houses. How many "
        "heaters do we have to order? Show the steps in two sentences.",
    )


def image() -> None:
    """Draw one picture."""
    from openai import OpenAI

    OpenAI(api_key=NO_KEY, base_url=OPENAI).images.generate(
        model="gpt-image-1",
        prompt="A lemon tree in a terracotta pot on a sunny balcony, drawn like an old botanical "
        "plate, without any text.",
        size="1024x1024",
        quality="medium",
    )


@dataclass(frozen=True, slots=True)
class Scene:
    """One call of the demo: whose it is, what it shows, and the cassette that answers."""

    customer: str
    feature: str
    cassette: str
    call: Callable[[], None]


def scenes(session: str) -> list[Scene]:
    """Return the calls of the demo in their order."""
    return [
        Scene("acme", "chat", "openai_chat", chat),
        Scene("acme", "stream", "openai_stream", stream),
        Scene("acme", "cached", "anthropic_cached", cached),
        Scene("acme", "image", "openai_image", image),
        Scene("acme", "rate limited", "openai_retry", retried_by_the_sdk),
        Scene("globex", "thinking", "gemini_thoughts", thinking),
        Scene("globex", "left early", "anthropic_stream", partial(abandoned_stream, session)),
        Scene("globex", "overloaded", "anthropic_overloaded", retried_by_hand),
        Scene("globex", "refused", "openai_failed", refused),
    ]
