"""
Count a prompt's tokens before it is sent.

OpenAI's models are counted by their own encoding and chat format: exact for text. Any other
family is estimated by the same encoding times what such texts measured (benchmarks/accuracy.py),
and says so. Tools and pictures follow the published rules and are estimates everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from tokenmeter.frozen import value
from tokenmeter.pricing import bpe
from tokenmeter.pricing.pictures import Tokens, picture_tokens
from tokenmeter.pricing.prompt import Prompt, compact, read_prompt
from tokenmeter.pricing.tooltext import Shown, as_json, as_types, as_words
from tokenmeter.providers.base import Json

MISSING = "pip install 'tokenmeter[preview]' counts better"
DRAWS = "image_generation"  # a tool of the provider's that reads nothing
UNREAD_TOKENS = 20_000  # tokens that a file, or a conversation kept elsewhere, may be: upper end


@dataclass(frozen=True, slots=True)
class Format:
    """How one family's prompts become tokens."""

    name: str
    encoding: str = bpe.NEW
    exact: bool = False  # for text
    factor: float = 1.0  # on the encoding's count
    spread: float = 0.25  # of an estimate, both ways
    message: int = 4  # for each message, its role included
    end: int = 3  # for the beginning of the answer
    tools: int = 9  # for the first tool, beside its text
    system: int = 0  # what a system message changes where there are tools
    shown: Shown = as_json  # what of the tools is text
    thinking: int = 0  # for extended thinking
    reads_schema: bool = True  # the schema of the answer is part of the prompt
    page: Tokens | None = None  # of a document; None: nobody says
    thought: float = 0.0  # for each byte of an encrypted thought
    cites: int = 0  # where documents are to be cited
    around: int = 0  # the most that may stand around a prompt, where nobody says what does

    @property
    def basis(self) -> str:
        """How a prompt of text is counted."""
        if self.exact:
            return f"exact token count ({self.encoding})"
        return f"estimate for {self.name} models by {self.encoding}"


@value(frozen=True, slots=True)
class Count:
    """Tokens of a prompt, how they were counted, and what could not be."""

    low: int
    expected: int
    high: int
    basis: str
    notes: tuple[str, ...] = ()
    exact: bool = False

    @property
    def range(self) -> tuple[int, int, int]:
        """From the least to the most."""
        return self.low, self.expected, self.high


# A page of Claude's is its text and its picture (https://platform.claude.com/docs, PDF support:
# 1,500 to 3,000 tokens); Google's is one picture (https://ai.google.dev/gemini-api/docs).
_CLAUDE = Format(
    "Claude",
    factor=1.15,
    message=3,
    end=1,
    tools=310,
    thinking=28,
    page=Tokens(1_500, 2_250, 3_000),
    cites=580,
)
_GEMINI = Format(
    "Gemini",
    spread=0.1,
    message=1,
    end=0,
    tools=18,
    shown=as_types,
    reads_schema=False,
    page=Tokens(258, 258, 258),
    thought=0.17,
)
_GEMINI_3 = replace(_GEMINI, page=Tokens(258, 560, 560), thought=0.46)
_VERTEX = replace(_GEMINI, tools=0, shown=as_words)  # and the Gemini API up to 2.0
_HARMONY = Format("gpt-oss", end=62, shown=as_types)  # each server writes a preamble
_ANY = Format("other", factor=1.05)
_GOOGLE = ("gemini", "gemma", "learnlm")
_EARLY = re.compile(r"gemini-[12]\.[0-4]")
_BEFORE_3 = re.compile(r"gemini-[12]\.|gemma|learnlm")
_SEARCHES = "-search-preview"  # only the texts are counted


@lru_cache(maxsize=1024)
def format_of(model: str, provider: str = "") -> Format:
    """Return how a model's prompts are counted, by its name and who serves it."""
    name = model.lower().removeprefix("ft:").rpartition("/")[2]
    if "claude" in name:
        return _CLAUDE
    if name.startswith(_GOOGLE):
        if provider == "google-vertex" or _EARLY.match(name):
            return _VERTEX
        return _GEMINI if _BEFORE_3.match(name) else _GEMINI_3
    if name.startswith("gpt-oss"):
        return _HARMONY
    if not name.startswith(("gpt-", "chatgpt", "o1", "o3", "o4", "text-embedding", "codex")):
        return _ANY
    return _openai(name)


def _openai(name: str) -> Format:
    encoding = bpe.encoding_of(name)
    if name.startswith(("gpt-image", "chatgpt-image")):
        return Format("OpenAI image", encoding, message=0, end=0, around=64)
    if _SEARCHES in name or name.startswith("text-embedding"):
        return Format("OpenAI", encoding, exact=True, message=0, end=0)
    late = name.startswith("gpt-5")  # and what comes after is taken for one of these
    return Format("OpenAI", encoding, exact=True, end=2 if late else 3, system=-4, shown=as_types)


def count_input(model: str, body: Json, provider: str = "") -> Count | None:
    """Return the input tokens of a request; None if it has no prompt that we can read."""
    prompt = read_prompt(body)
    return None if prompt is None else count_prompt(model, prompt, format_of(model, provider))


def count_prompt(model: str, prompt: Prompt, form: Format) -> Count:
    """Return the input tokens of a prompt, from the least to the most."""
    count = bpe.counter(form.encoding)
    if form.exact and count is not None and prompt.is_text:
        tokens = sum(map(count, prompt.texts)) + prompt.tokens + _overhead(form, prompt)
        return Count(tokens, tokens, tokens, form.basis, exact=True)
    counted = sum(map(count or bpe.by_size, prompt.texts))
    plain = round(counted * form.factor) + prompt.tokens + _overhead(form, prompt)
    extra, notes = _extras(form, model, prompt)
    spread = round((counted + extra[1]) * form.spread)
    return Count(
        max(0, plain + extra[0] - spread),
        plain + extra[1],
        plain + extra[2] + spread + form.around,
        _basis(form, with_counter=count is not None),
        notes if count is not None else (*notes, MISSING),
    )


def _overhead(form: Format, prompt: Prompt) -> int:
    if not prompt.roles:
        return 0
    thinking = form.thinking if prompt.thinks else 0
    return thinking + form.message * len(prompt.roles) + form.end + prompt.names


def _extras(form: Format, model: str, prompt: Prompt) -> tuple[list[int], tuple[str, ...]]:
    """Return what is not text, from the least to the most, and a note for each guess."""
    extra = [0, 0, 0]
    notes: list[str] = []
    if prompt.tools or prompt.schema is not None:
        tokens = _tool_tokens(form, prompt)
        extra = [tokens, tokens, tokens]
    for image in prompt.images:
        more = picture_tokens(model, image)
        extra = [known + tokens for known, tokens in zip(extra, more, strict=True)]
    if prompt.images:
        notes.append(f"{len(prompt.images)} picture(s) counted by the family's rule of tiles")
    extra = _with_documents(extra, form, prompt, notes)
    if prompt.files:
        extra[2] += UNREAD_TOKENS * len(prompt.files)
        notes.append(f"not counted locally: {', '.join(sorted(set(prompt.files)))}")
    if DRAWS in prompt.served:
        notes.append(f"the images that {DRAWS} makes are billed beside this call")
    if reading := sorted(prompt.served - {DRAWS}):
        named = ", ".join(reading)
        notes.append(f"what tools of the provider read is not known before: {named}")
    return extra, tuple(notes)


def _with_documents(extra: list[int], form: Format, prompt: Prompt, notes: list[str]) -> list[int]:
    """Add pages, what citing them takes, and thoughts that can only be measured."""
    page = form.page or Tokens(0, 0, UNREAD_TOKENS)
    if prompt.pages:
        extra = [known + prompt.pages * tokens for known, tokens in zip(extra, page, strict=True)]
        rule = "by the family's rule" if form.page else "not counted locally"
        notes.append(f"{prompt.pages} page(s) {rule}")
    if prompt.thoughts:
        tokens = round(prompt.thoughts * form.thought)
        most = 2 * tokens if form.thought else UNREAD_TOKENS
        extra = [extra[0], extra[1] + tokens, extra[2] + most]
        rule = "estimated by their length" if form.thought else "not counted locally"
        notes.append(f"encrypted thoughts of earlier turns are {rule}")
    return [known + form.cites for known in extra] if prompt.cites else extra


def _tool_tokens(form: Format, prompt: Prompt) -> int:
    count = bpe.counter(form.encoding) or bpe.by_size
    tokens = 0
    if prompt.tools:
        texts = form.shown(prompt.tools)
        tokens = round(sum(map(count, texts)) * form.factor) + form.tools
        if "system" in prompt.roles or "developer" in prompt.roles:
            tokens += form.system
    if prompt.schema is not None and form.reads_schema:
        tokens += round(count(compact(prompt.schema)) * form.factor)
    return tokens


def _basis(form: Format, *, with_counter: bool) -> str:
    if not with_counter:
        return "estimate by the size of the text"
    if form.exact:
        return f"token count ({form.encoding}), tools and media estimated"
    return form.basis
