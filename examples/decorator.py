"""@metered: what a function asks of a provider belongs to the customer in its arguments."""

from dataclasses import dataclass

from openai import OpenAI
from replay import offline

import tokenmeter

meter = tokenmeter.configure(backend="memory:")  # nothing is instrumented or wrapped


@dataclass
class Question:
    user_id: str
    text: str


@tokenmeter.metered(customer=lambda question: question.user_id, feature="support")
def answer(question: Question) -> str | None:
    """Return a plain string: the call inside is metered all the same."""
    completion = OpenAI().chat.completions.create(
        model="gpt-5.4-mini", messages=[{"role": "user", "content": question.text}]
    )
    return completion.choices[0].message.content


@tokenmeter.metered(
    customer="acme",
    event_name="world_generated",
    extract=lambda world: {"world_count": 1, "model": world["engine"], "quality": "draft"},
)
def build_world(prompt: str) -> dict[str, str]:
    """Call something that is no HTTP library; `extract=` says what was used."""
    return {"engine": "our-own-1", "url": f"worlds/{len(prompt)}.glb"}


with offline("openai_chat"):
    print(answer(Question("acme", "My plant arrived dry. What now?")))
build_world("a greenhouse at dawn")

tokenmeter.flush()
for event in meter.backend.events:
    print(event.event_name, event.external_customer_id, event.usage)
