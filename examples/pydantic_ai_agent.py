"""PydanticAI: every call that an agent makes is an event, and the run adds them up."""

from pydantic_ai import Agent
from replay import offline

import tokenmeter

tokenmeter.configure(backend="memory:")
tokenmeter.instrument()


def order_status(number: int) -> str:
    """Say where an order is."""
    return f"order {number} left the nursery this morning"


with offline("openai_tool"), tokenmeter.attribute(customer="acme"):
    agent = Agent("openai-chat:gpt-5.4-mini", tools=[order_status])
    with tokenmeter.run("request-42") as run:
        answer = agent.run_sync("Where is order 1042?")

print(answer.output)
print("PydanticAI counts", answer.usage.input_tokens, answer.usage.output_tokens)
for event in run.events:
    print("call", event.usage.input_tokens, event.usage.output_tokens, event.properties["outcome"])
print("the run", run.usage.input_tokens, run.usage.output_tokens)
