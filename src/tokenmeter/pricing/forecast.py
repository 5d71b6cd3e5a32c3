"""What a call will use: quantities from its request, by rule, count, limit or history."""

from __future__ import annotations

from decimal import Decimal

from tokenmeter.pricing.asked import EMBEDDING, TEXT, Asked, Forecast, places
from tokenmeter.pricing.counting import Count, count_input
from tokenmeter.pricing.history import History, Spread
from tokenmeter.pricing.image_tokens import (
    PARTIAL_TOKENS,
    beside_tokens,
    drawn_tokens,
    given_tokens,
)
from tokenmeter.pricing.prompt import cached_for
from tokenmeter.pricing.seedance import clip_tokens
from tokenmeter.pricing.toolwork import toolwork
from tokenmeter.pricing.unseen import unseen_tokens
from tokenmeter.providers.base import Json, mapping
from tokenmeter.providers.media import IMAGE, VIDEO, WORLD, whole
from tokenmeter.providers.media_kinds import AUDIO

# Where nobody says how long an answer may be: an assumption, and called one.
ANSWER_TOKENS = Spread(1, 500, 4_096)
# Estimates of a text were off by up to 41.9 % (docs/previews.md): what is held covers that,
# and what each recording cost (tests/asgi/test_held_corpus.py).
ESTIMATED_MOST = 1.8
CACHING = "messages"  # Anthropic's: requests say what of them is to be kept
SERIES_MAX = 15  # images of Seedream's, where the request names no fewer (docs.byteplus.com)
# Who bills the seconds of a video that is given, beside those of the one that is made.
_BILL_GIVEN = frozenset({"alibaba", "minimax", "runway"})

_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens", "max_tokens_to_sample")
_CONFIG_LIMITS = ("maxOutputTokens", "max_output_tokens", "maxTokens")


def forecast(asked: Asked, history: History, billed_by: tuple[str, ...]) -> Forecast:
    """Return what a call will use; `billed_by` are the metrics in the model's price list."""
    draft = Forecast(asked.usage)
    spoken = asked.event_name == AUDIO and _speaks(asked.body)
    if spoken or asked.event_name in {TEXT, EMBEDDING}:
        _text(draft, asked, history)
    elif not asked.stated:
        _media(draft, asked, history, billed_by)
    return draft


def _media(draft: Forecast, asked: Asked, history: History, billed_by: tuple[str, ...]) -> None:
    if asked.event_name == IMAGE:
        _images(draft, asked, history)
    elif asked.event_name == VIDEO:
        draft.sure |= {
            "video_count": asked.outputs,
            "video_jobs": 1,
            "output_count": asked.outputs,
        }
        if "video_tokens" in billed_by:
            _clip(draft, asked)
        if asked.provider in _BILL_GIVEN and asked.dimensions.get("input_type") == "video":
            draft.exact = False
            draft.notes.append("the seconds of the video that is given are billed too")
        if asked.dimensions.get("duration_assumed") == "true":
            draft.exact = False
            draft.notes.append("no duration is given: what the API seems to make is assumed")
    elif asked.event_name == WORLD:
        draft.sure |= {"world_count": 1, "output_count": 1}


def _text(draft: Forecast, asked: Asked, history: History) -> None:
    if "input_tokens" not in draft.sure:
        _input(draft, asked, history)
    if asked.operation == CACHING:
        _cache(draft, asked)
    if asked.event_name != EMBEDDING and "output_tokens" not in draft.sure:
        _output(draft, asked, history)


def _input(draft: Forecast, asked: Asked, history: History) -> None:
    count = count_input(asked.model or "", asked.body, asked.provider)
    if count is not None:
        draft.counted = None if count.exact else count.expected
        count = _corrected(count, history)
        most = count.high
        if history.is_cautious and not count.exact:
            most = max(most, round(count.expected * ESTIMATED_MOST) + 8)
        spread = Spread(count.low, count.expected, most)
        draft.add("input_tokens", spread, f"input: {count.basis}", exact=count.exact)
        draft.notes += count.notes
    elif history.input_tokens is not None and not asked.stated:
        draft.add("input_tokens", history.input_tokens, f"input: history of {history.events}")
    elif not asked.stated:
        draft.exact = False
        draft.notes.append("no prompt is given: the input is not in this quote")
    if history.is_cautious:
        _unseen(draft, asked.body)
        _toolwork(draft, asked.body)


def _unseen(draft: Forecast, body: Json) -> None:
    """Add what no rule counts to the most that the input may be."""
    more = unseen_tokens(body)
    if more:
        _widened(draft, more)
        draft.notes.append("some text of this request is not known to be part of its prompt")


def _toolwork(draft: Forecast, body: Json) -> None:
    """Add what tools of the provider's may read and search to the most that there may be."""
    work = toolwork(body)
    if work.tokens:
        _widened(draft, work.tokens)
    if work.searches:
        draft.add("web_search_count", Spread(0, 0, work.searches))


def _widened(draft: Forecast, more: int) -> None:
    sure = draft.sure.pop("input_tokens", 0)
    given = draft.open.get("input_tokens", Spread(sure, sure, sure))
    draft.add("input_tokens", given._replace(high=given.high + more))


def _cache(draft: Forecast, asked: Asked) -> None:
    """Whether a prompt that is to be kept is found, or written, nobody knows before the call."""
    kept = cached_for(asked.body)
    given = draft.open.get("input_tokens")
    if kept is None or given is None:
        return
    written = Spread(0, 0, given.high)
    draft.add("cache_read_tokens", Spread(given.low, 0, 0), f"cache: all read, to all kept {kept}")
    draft.add("cache_write_tokens", written)
    draft.add(f"cache_write_{kept}_tokens", written)


def _corrected(count: Count, history: History) -> Count:
    """An exact count needs no correction; an estimate is closer by the ratio seen."""
    seen = history.input
    if seen is None or count.low == count.high:
        return count
    low, expected, high = (round(seen.of(Decimal(tokens))) for tokens in count.range)
    basis = f"{count.basis}, {seen} by history of {history.events}"
    return Count(low, expected, high, basis, count.notes)


def _output(draft: Forecast, asked: Asked, history: History) -> None:
    limit = output_limit(asked.body)
    if history.output_tokens is not None:
        spread = history.output_tokens.at_most(limit)
        basis = f"output: history of {history.events} (median, 90th percentile)"
    elif limit is not None:
        spread, basis = Spread(min(1, limit), limit, limit), f"output: max_tokens={limit}"
    elif asked.stated or not draft.sure.keys() | draft.open.keys():
        return
    else:
        spread, basis = ANSWER_TOKENS, f"output: assumed, up to {ANSWER_TOKENS.high} tokens"
        draft.notes.append("neither max_tokens nor a history says how long the answer may be")
    if history.answer_tokens_max is not None:
        most = max(spread.high, history.answer_tokens_max) if limit is None else limit
        spread = spread._replace(high=most)
    spread = spread.times(asked.outputs)
    draft.add("output_tokens", spread, basis)
    if _speaks(asked.body):  # nearly all of the answer is sound, the rest its transcript
        draft.add("output_audio_tokens", spread._replace(low=0))


def _speaks(body: Json) -> bool:
    """Whether the answer may be spoken, by the formats of OpenAI and of Google."""
    config = mapping(body.get("generationConfig") or body.get("generation_config"))
    wanted = body.get("modalities") or config.get("responseModalities")
    wanted = wanted or config.get("response_modalities")
    return isinstance(wanted, list) and any(str(kind).lower() == "audio" for kind in wanted)


def _images(draft: Forecast, asked: Asked, history: History) -> None:
    said = asked.dimensions
    drawn = drawn_tokens(asked.model or "", said.get("size"), said.get("quality"))
    if said.get("sequential") == "true":
        _series(draft, asked.outputs if "n" in said else SERIES_MAX)
    else:
        draft.sure |= {"image_count": asked.outputs, "output_count": asked.outputs}
    if drawn is None:
        return
    partial = (whole(asked.body.get("partial_images")) or 0) * PARTIAL_TOKENS
    spread = Spread(drawn.low, drawn.expected + partial, drawn.high + partial)
    tokens = spread.times(asked.outputs)
    draft.add("output_image_tokens", tokens, f"images: {drawn.basis}")
    beside = beside_tokens(asked.model or "") * asked.outputs
    draft.add("output_tokens", tokens._replace(high=tokens.high + beside))
    if beside:
        draft.notes.append(f"up to {beside} tokens of text or thoughts are assumed beside images")
    _input(draft, asked, history)
    if asked.operation == "images.edits":
        _edited(draft, asked)


def _edited(draft: Forecast, asked: Asked) -> None:
    """Add the pictures of an edit to its input; a form's files, and so their sizes, are unseen."""
    body = asked.body
    one = given_tokens(asked.model or "", body.get("input_fidelity"))
    if one is None:
        return
    listed = [body[name] for name in ("image", "images") if isinstance(body.get(name), list)]
    pictures = Spread(*one).times(max(1, sum(map(len, listed))))
    said = draft.open.pop("input_tokens", None)
    text = Spread(*[draft.sure.pop("input_tokens", 0)] * 3) if said is None else said
    draft.add("input_image_tokens", pictures, "pictures: by the family's rule of tiles")
    draft.add("input_tokens", Spread(*map(sum, zip(text, pictures, strict=True))))
    draft.notes.append("the sizes of the pictures to edit are not known")


def _series(draft: Forecast, most: int) -> None:
    """The model says how many images a series has; none is billed that is not made."""
    draft.add("image_count", Spread(1, most, most), f"images: a series of at most {most}")
    draft.add("output_count", Spread(1, most, most))


def _clip(draft: Forecast, asked: Asked) -> None:
    """Seedance's formula: frame size, seconds, and what is open of them."""
    length = asked.usage.get("video_seconds")
    found = clip_tokens(asked.model or "", asked.dimensions, length)
    if found is None:
        draft.notes.append("the frame of this video is not known: no tokens by the formula")
        return
    spread, basis = found
    draft.add("video_tokens", spread.times(asked.outputs), basis)


def output_limit(body: Json) -> int | None:
    """
    Return the most tokens that the answer may have, wherever the format says so.

    Of several limits the largest: which of them a provider knows, it alone does.
    """
    said = [body[name] for name in _LIMITS if name in body]
    for place in places(body)[1:]:
        said += [place[name] for name in _CONFIG_LIMITS if name in place]
    return max((limit for limit in map(whole, said) if limit), default=None)
