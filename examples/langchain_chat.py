"""LangChain: its own callback counts the answer; the meter counts each attempt, once."""

from langchain_core.callbacks import get_usage_metadata_callback
from langchain_openai import ChatOpenAI
from replay import offline

import tokenmeter

meter = tokenmeter.configure(backend="memory:")
tokenmeter.instrument()


@tokenmeter.metered(customer="acme", feature="support")
def reply(question: str) -> str:
    chat = ChatOpenAI(model="gpt-5.4-mini", max_retries=2)
    with get_usage_metadata_callback() as callback:
        answer = chat.invoke(question)
    for model, counted in callback.usage_metadata.items():
        print("LangChain counts", counted["input_tokens"], counted["output_tokens"], model)
    return str(answer.content)


with offline("openai_retry"):
    print(reply("Where is order 1042?"))

tokenmeter.flush()
for event in meter.backend.events:
    print("attempt", event.properties["attempt"], event.properties["outcome"], end=" ")
    print(event.usage.get("input_tokens"), event.usage.get("output_tokens"))
