"""LiteLLM: its callback sees one answer and its cost; the meter, each attempt, once."""

import os
import warnings
from typing import Any

from replay import offline

import tokenmeter

warnings.simplefilter("ignore", ResourceWarning)  # LiteLLM leaves an event loop open
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches prices when imported
meter = tokenmeter.configure(backend="memory:")
tokenmeter.instrument()


@tokenmeter.metered(customer="acme", feature="support")
def reply(question: str) -> str:
    import litellm

    litellm.success_callback = [counted]
    answer = litellm.completion(
        model="openai/gpt-5.4-mini",
        messages=[{"role": "user", "content": question}],
        num_retries=2,
    )
    return str(answer.choices[0].message.content)


def counted(_asked: Any, answer: Any, *_times: object) -> None:
    print("LiteLLM counts", answer.usage.prompt_tokens, answer.usage.completion_tokens)


with offline("openai_retry"):
    print(reply("Where is order 1042?"))

tokenmeter.flush()
for event in meter.backend.events:
    print("attempt", event.properties["attempt"], event.properties["outcome"], end=" ")
    print(event.usage.get("input_tokens"), event.usage.get("output_tokens"))
