"""Anthropic counts cached tokens beside the input; the event has the sum and the parts."""

from anthropic import Anthropic
from replay import offline

from tokenmeter import TokenMeter

meter = TokenMeter(backend="memory:")

with offline("anthropic_cached"), meter.attribute(customer="acme"):
    client = meter.wrap(Anthropic())  # this client only; nothing else is metered
    message = client.messages.create(
        model="claude-sonnet-4-6",
        max_tokens=1_024,
        system=[
            {
                "type": "text",
                "text": "The handbook of our garden shop ...",
                "cache_control": {"type": "ephemeral"},
            }
        ],
        messages=[{"role": "user", "content": "Which themes return in these letters?"}],
    )

meter.flush()
(event,) = meter.backend.events
usage = event.usage
print("the SDK says:  ", message.usage.input_tokens, "input tokens")
print("the event says:", usage.input_tokens, "input tokens, of which")
print("    read from the cache:", usage.cache_read_tokens)
print("    written to the cache:", usage.cache_write_tokens)
print("    neither:", usage.uncached_input_tokens)
print("cost:", event.properties["cost_usd"], "USD")
