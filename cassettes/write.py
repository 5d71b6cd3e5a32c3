"""
Write the cassettes: made-up conversations in the providers' documented wire formats.

    python cassettes/write.py

Texts and token counts stand here, the formats in wire.py; README.md says what they are.
"""
# ruff: noqa: INP001 - a script beside its data, not a package

from __future__ import annotations

from pathlib import Path
from typing import Any

import wire
import yaml  # type: ignore[import-untyped]

HERE = Path(__file__).parent
BROKEN_AFTER = 12  # pieces of an answer that the provider does not finish
RETRY_AFTER_MS = "20"

REFUND = (
    "Yes. A plant that arrives dry counts as damaged in transit. Send one photo within three "
    "days of delivery and choose: a new plant, or your money back. You do not have to return "
    "the plant, and the postage of the new one is ours."
)
CARE_CARD = (
    "Lemon tree. Light: the brightest window you have, or outdoors from May to October. "
    "Water: when the top two centimetres are dry, then plenty; never leave the pot standing in "
    "water. Food: citrus feed every second week from March to September. Winter: cool and "
    "bright, five to ten degrees, very little water. Yellow leaves with green veins mean that "
    "iron is missing; falling leaves in winter mean too much warmth for too little light. "
    "Repot every second spring, one size up."
)
DELIVERY = (
    "Order 1042 left the nursery this morning and will arrive on Tuesday between nine and "
    "noon. The driver rings once; if nobody opens, the box goes to the parcel shop in Mill "
    "Street and waits there for seven days. The wick keeps the roots damp for five."
)
LETTERS = (
    "Three themes return in these letters. First, plants that arrive dry: eleven of sixteen "
    "writers, all served by the same depot. Second, praise for refunds without questions; four "
    "writers ordered again in the same message. Third, one request that we should weigh: a "
    "label in large print, because the small one cannot be read without glasses. I would speak "
    "to the depot first, since it causes most of the cost, and print the larger label with the "
    "next batch."
)
PLAN = (
    "A plan for the spring campaign. Weeks one and two: choose the twelve plants that survived "
    "the most deliveries last year, and photograph them in ordinary rooms. Week three: write "
    "one care card each, in large print, and test them on people who have killed a plant "
    "before. Weeks four and five: show the cards in the shop window and on the order page; "
    "measure whether questions to support go down. Week six: send the first letter to "
    "customers who bought once and never again, with a voucher for a pot. Weeks seven and "
    "eight: compare both groups, keep what sold, and drop the rest without regret. Two risks: "
    "a late frost empties the vans for a week, and the print shop closes over Easter."
)
GREENHOUSE = (
    "You need 27 heaters: 9 for each of the three greenhouses. Each house loses 4.3 kW at "
    "minus five degrees, and one heater gives 0.5 kW, so 8.6 heaters are needed; round up per "
    "house, since heat does not move between them."
)
SLOGAN = "Acme Garden: plants that survive the post, and people like you."
DONE = "The letter is on its way. Nothing else is open."
LOOKED_UP = "Order 1042 is on its way. Shall I write to the customer?"
POLITE = (
    "Good news: your lemon tree is on its way and will be with you on Tuesday before noon. "
    "Please open the box the same day; the wick keeps the roots damp for five days at most."
)
REPORT = (
    "Returns fell from 6.1 to 4.4 percent within the quarter. Two thirds of the fall came from "
    "one change: the damp wick. The rest came from the depot in Mill Street, which now unloads "
    "before noon. Dry plants are still the first reason for a return, broken pots the second. "
    "I recommend keeping the wick, moving the second depot to the same hours, and asking the "
    "printer for a thicker box before the frost. Expected effect: about one percent more."
)


LIMITED = wire.refused(
    (429, "Too Many Requests"),
    {
        "message": f"Rate limit reached for {wire.GPT} on tokens per min (TPM).",
        "type": "tokens",
        "param": None,
        "code": "rate_limit_exceeded",
    },
    retry_after_ms=RETRY_AFTER_MS,
)
TOO_MUCH = wire.refused(
    (400, "Bad Request"),
    {
        "message": "max_tokens is too large: 400000. This model supports at most 128000.",
        "type": "invalid_request_error",
        "param": "max_completion_tokens",
        "code": "invalid_value",
    },
)

CASSETTES = {
    "openai_chat": [
        wire.chat(1, REFUND, wire.chat_usage(1_318, 183, cached=1_152, reasoning=128)),
    ],
    "openai_stream": [wire.chat_stream(2, CARE_CARD, wire.chat_usage(31, 112))],
    "openai_retry": [
        LIMITED,
        LIMITED,
        wire.chat(3, DELIVERY, wire.chat_usage(1_321, 62, cached=1_152)),
    ],
    "openai_failed": [TOO_MUCH],
    "openai_image": [wire.image(given=23, made=1_056)],
    "openai_gpt4": [
        wire.chat(4, SLOGAN, wire.chat_usage(29, 15), model="gpt-4", served="gpt-4-0613"),
    ],
    "openai_background": [
        wire.exchange(
            wire.RESPONSES_URL,
            {"model": wire.GPT, "background": True},
            wire.response(5, "queued", None),
        ),
        wire.exchange(
            f"{wire.RESPONSES_URL}/resp_tokenmeter-0005",
            None,
            wire.response(5, "in_progress", None),
        ),
        wire.exchange(
            f"{wire.RESPONSES_URL}/resp_tokenmeter-0005",
            None,
            wire.response(5, "completed", REPORT, wire.response_usage(42, 635, reasoning=512)),
        ),
    ],
    "anthropic_cached": [
        wire.claude(6, LETTERS, wire.claude_usage(24, 109, read=2_714, written=1_236)),
    ],
    "anthropic_stream": [wire.claude_stream(7, PLAN, wire.claude_usage(1_362, 171))],
    "anthropic_overloaded": [
        wire.claude_stream(8, DELIVERY, wire.claude_usage(1_357, 64), broken_after=BROKEN_AFTER),
        wire.claude_stream(9, DELIVERY, wire.claude_usage(1_357, 64)),
    ],
    "gemini_thoughts": [wire.gemini(10, GREENHOUSE, given=68, made=56, thoughts=724)],
    "bedrock_converse": [wire.converse(DELIVERY, 43, 60)],
    "openai_tool": [
        wire.chat_tool(14, "order_status", {"number": 1042}, wire.chat_usage(231, 9)),
        wire.chat(15, POLITE, wire.chat_usage(268, 43)),
    ],
    "agent": [
        wire.chat(11, LOOKED_UP, wire.chat_usage(212, 78, reasoning=64)),
        wire.claude(12, POLITE, wire.claude_usage(187, 41)),
        wire.chat(13, DONE, wire.chat_usage(296, 75, reasoning=64)),
    ],
}


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes bodies as blocks that a person can read."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def written(exchanges: list[dict[str, Any]]) -> str:
    """Return one cassette as YAML."""
    content = {"interactions": exchanges, "version": 1}
    text: str = yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000
    )
    return text


_Dumper.add_representer(str, _text)
_Dumper.ignore_aliases = lambda *_: True

if __name__ == "__main__":
    for name, exchanges in CASSETTES.items():
        (HERE / f"{name}.yaml").write_text(written(exchanges), encoding="utf-8")
