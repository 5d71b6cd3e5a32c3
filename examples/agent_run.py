"""One request of your product makes several calls: `run` adds up what they used and cost."""

from anthropic import Anthropic
from openai import OpenAI
from replay import offline

import tokenmeter

meter = tokenmeter.configure(backend="memory:")
tokenmeter.instrument()


def ask(question: str) -> str | None:
    """Ask the model that decides what to do."""
    completion = OpenAI().chat.completions.create(
        model="gpt-5.4-mini", messages=[{"role": "user", "content": question}]
    )
    return completion.choices[0].message.content


def write(letter: str) -> str:
    """Ask the model that writes to customers."""
    message = Anthropic().messages.create(
        model="claude-sonnet-4-6",
        max_tokens=1_024,
        messages=[{"role": "user", "content": letter}],
    )
    return "".join(block.text for block in message.content if block.type == "text")


with (
    offline("agent"),
    tokenmeter.attribute(customer="acme", feature="agent"),
    tokenmeter.run("request-42") as run,
):
    ask("Where is order 1042?")
    print(write("Tell the customer that the order arrives on Tuesday."))
    ask("The letter is written. Anything else?")

print(run.run_id, "made", len(run.events), "calls")
print("input:", run.usage.input_tokens, "output:", run.usage.output_tokens)
print("cost:", run.cost)
