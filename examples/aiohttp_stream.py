"""aiohttp: a stream that reports no usage by itself does, and what you read is as without us."""

import asyncio

import aiohttp
from replay import offline

import tokenmeter

meter = tokenmeter.configure(backend="memory:")
BODY = {
    "model": "gpt-5.4-mini",
    "stream": True,
    "messages": [{"role": "user", "content": "Write a care card for a lemon tree."}],
}


async def main() -> None:
    with offline("openai_stream"):
        async with aiohttp.ClientSession() as session:
            tokenmeter.wrap(session)  # this one only; instrument() would meter them all
            headers = {"authorization": "Bearer none"}
            url = "https://api.openai.com/v1/chat/completions"
            async with session.post(url, json=BODY, headers=headers) as answer:
                async for line in answer.content:
                    if line.startswith(b"data: [DONE]"):
                        print("read to the end")


with tokenmeter.attribute(customer="acme"):
    asyncio.run(main())
tokenmeter.flush()
(event,) = meter.backend.events
print(event.properties["outcome"], event.usage.input_tokens, event.usage.output_tokens)
