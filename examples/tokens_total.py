"""A meter of your own: the input tokens that gpt-4 was given, as Flexprice counts them."""

import tempfile

from openai import OpenAI
from replay import offline

from tokenmeter import TokenMeter

with tempfile.TemporaryDirectory() as folder:
    # In this shape a call is one `tokens_total` event per direction: input, output.
    meter = TokenMeter(
        backend=f"sqlite:///{folder}/usage.db", shape="tokens_total", state_dir=folder
    )
    meter.instrument()
    with offline("openai_gpt4"), meter.attribute(customer="acme"):
        OpenAI().chat.completions.create(
            model="gpt-4",
            messages=[{"role": "user", "content": "Write a slogan for our garden shop."}],
        )
    meter.flush()

    total = meter.engine.aggregate(
        "tokens_total",
        "SUM",
        "tokens",
        filters={"model_type": "gpt-4", "prompt_type": "input"},
        customer="acme",
    )
    print("input tokens of gpt-4:", total)
    meter.shutdown()
