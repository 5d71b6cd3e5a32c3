"""
How near local counts come to the input tokens that providers reported, over the corpus.

    python benchmarks/accuracy.py            # a table; --all lists every exchange

OpenAI's chat text is counted exactly. For Anthropic and Gemini the estimate is corrected by the
other exchanges of its kind and with the same tools of the provider's, never by the one that is
judged: what the history of a store does with the calls of one feature. Every exchange counts,
those whose input nobody can know before the call as well. Exit code 1 if a goal is missed.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

from tokenmeter.pricing.counting import count_input
from tokenmeter.pricing.history import correction_of
from tokenmeter.pricing.prompt import Prompt, read_prompt

CORPUS = Path(os.environ.get("TOKENMETER_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))
EXACT_MAX, CORRECTED_MAX = 0.02, 0.10
OPENAI, CLAUDE, GEMINI = "OpenAI chat", "Anthropic", "Gemini"
TEXT, TOOLS, MEDIA = "text", "own tools, schemas", "pictures, documents"
SERVED = "files cut or linked, provider's tools"
APIS = {
    "chat.completions": OPENAI,
    **dict.fromkeys(("messages", "rawPredict", "streamRawPredict"), CLAUDE),
    **dict.fromkeys(("generateContent", "streamGenerateContent"), GEMINI),
}
_MODEL = re.compile(r"/models/([^/:]+):")


@dataclass(frozen=True)
class Sample:
    """One recorded exchange: what we count, and what its provider reported."""

    name: str
    family: str
    kind: str
    feature: str  # the provider's tools and the files in it: one store's calls would share them
    counted: int
    reported: int

    @property
    def pair(self) -> tuple[Decimal, Decimal]:
        """Tokens billed, tokens counted."""
        return Decimal(self.reported), Decimal(self.counted)


def samples() -> Iterator[Sample]:
    """Yield every exchange that reports its input tokens and whose request we can read."""
    for path in sorted(CORPUS.glob("*/*.json")):
        recorded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        family = _family(recorded)
        body, reported = _body(recorded), recorded["expected"].get("input_tokens")
        prompt = read_prompt(body) if family and recorded["response"]["status"] == 200 else None
        if family is None or prompt is None or not reported:
            continue
        provider = "google-vertex" if recorded["provider"] == "vertex" else recorded["provider"]
        count = count_input(_model(recorded, body), body, provider)
        if count is not None:
            feature = _feature(prompt)
            yield Sample(path.stem, family, _kind(prompt), feature, count.expected, reported)


def _family(recorded: dict[str, Any]) -> str | None:
    family = APIS.get(recorded["api"])
    if family == OPENAI and recorded["provider"] != "openai":
        return None
    return family


def _body(recorded: dict[str, Any]) -> dict[str, Any]:
    body = recorded["request"].get("body")
    try:
        found = json.loads(body) if isinstance(body, str) else body
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _model(recorded: dict[str, Any], body: dict[str, Any]) -> str:
    found = _MODEL.search(recorded["request"]["url"])
    return str(body.get("model") or (found[1] if found else ""))


def _kind(prompt: Prompt) -> str:
    if prompt.files or prompt.served:
        return SERVED
    if prompt.images or prompt.pages:
        return MEDIA
    return TOOLS if prompt.tools or prompt.schema is not None else TEXT


def _feature(prompt: Prompt) -> str:
    """Name what the provider reads besides the request, whichever version its tools are of."""
    named = {re.sub(r"_\d{8}$", "", name) for name in (*prompt.served, *prompt.files)}
    return ", ".join(sorted(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in named))


def error(counted: float, reported: int) -> float:
    """Return how far off a count is, as a share of what was reported."""
    return abs(counted - reported) / reported


def corrected(sample: Sample, others: list[Sample]) -> float:
    """Correct a count by the ratio seen in exchanges of the same family and kind."""
    pairs = [o.pair for o in others if o is not sample and alike(o, sample)]
    seen = correction_of(pairs)
    return sample.counted if seen is None else float(seen.of(Decimal(sample.counted)))


def alike(one: Sample, other: Sample) -> bool:
    """Say whether two exchanges would be one feature's."""
    return (one.family, one.kind, one.feature) == (other.family, other.kind, other.feature)


def line(family: str, kind: str, found: list[Sample], everything: list[Sample]) -> str:
    """Return one line of the table."""
    plain = [error(sample.counted, sample.reported) for sample in found]
    better = [error(corrected(sample, everything), sample.reported) for sample in found]
    within = sum(share <= EXACT_MAX for share in plain)
    return (
        f"| {family} | {kind} | {len(found)} | {within} | {median(plain):.1%} | {max(plain):.1%} "
        f"| {median(better):.1%} |"
    )


def main() -> int:
    """Print the table; 0 if the goals are met."""
    everything = list(samples())
    if "--all" in sys.argv:
        for sample in everything:
            print(f"{sample.name:48}{sample.kind:26}{sample.reported:8}{sample.counted:8}")
    print("| family | request holds | n | within 2 % | median | worst | corrected, median |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for family in (OPENAI, CLAUDE, GEMINI):
        own = [sample for sample in everything if sample.family == family]
        for kind in (TEXT, TOOLS, MEDIA, SERVED):
            found = [sample for sample in own if sample.kind == kind]
            if found:
                print(line(family, kind, found, everything))
        print(line(family, "**all**", own, everything))
    return 0 if goals_met(everything) else 1


def goals_met(everything: list[Sample]) -> bool:
    """Say, and print, whether each goal is met."""
    text = [s for s in everything if s.family == OPENAI and s.kind == TEXT]
    exact = all(error(s.counted, s.reported) <= EXACT_MAX for s in text)
    print(f"\nOpenAI chat text, each within {EXACT_MAX:.0%}: {'met' if exact else 'MISSED'}")
    met = [exact]
    for family in (CLAUDE, GEMINI):
        own = [s for s in everything if s.family == family]
        middle = median(error(corrected(s, everything), s.reported) for s in own)
        met.append(middle <= CORRECTED_MAX)
        verdict = "met" if met[-1] else "MISSED"
        print(f"{family}, corrected, median within {CORRECTED_MAX:.0%}: {middle:.1%}, {verdict}")
    return all(met)


if __name__ == "__main__":
    sys.exit(main())
