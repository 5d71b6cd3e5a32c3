"""An async stream without `stream_options`: the meter asks for the usage and hides the extra."""

import asyncio

from openai import AsyncOpenAI
from replay import offline

import tokenmeter

meter = tokenmeter.configure(backend="memory:")
tokenmeter.instrument()


async def main() -> None:
    """Print a stream as it comes."""
    stream = await AsyncOpenAI().chat.completions.create(
        model="gpt-5.4-mini",
        messages=[{"role": "user", "content": "Write a care card for a lemon tree."}],
        stream=True,
    )
    async for chunk in stream:
        print(chunk.choices[0].delta.content or "", end="")
    print()


with offline("openai_stream"), tokenmeter.attribute(customer="acme", feature="care cards"):
    asyncio.run(main())

tokenmeter.flush()
(event,) = meter.backend.events
print(event.properties["outcome"], event.usage.input_tokens, event.usage.output_tokens)
