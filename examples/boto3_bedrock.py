"""boto3: Bedrock's calls are metered under the model's name, retries of boto3 included."""

import boto3
from replay import offline

import tokenmeter

meter = tokenmeter.configure(backend="memory:")
tokenmeter.instrument()
bedrock = boto3.client(
    "bedrock-runtime",
    region_name="us-east-1",
    aws_access_key_id="none",
    aws_secret_access_key="none",  # noqa: S106 - the answer is a recorded one
)

with offline("bedrock_converse"), tokenmeter.attribute(customer="acme", feature="support"):
    answer = bedrock.converse(
        modelId="us.amazon.nova-2-lite-v1:0",
        messages=[{"role": "user", "content": [{"text": "Where is order 1042?"}]}],
    )

print(answer["output"]["message"]["content"][0]["text"])
tokenmeter.flush()
(event,) = meter.backend.events
print(event.properties["provider"], event.properties["model_type"], end=" ")
print(event.usage.input_tokens, event.usage.output_tokens)
