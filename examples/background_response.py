"""A job: submitted now, finished later, polled in between. It is one event, whoever polls."""

from openai import OpenAI
from replay import offline

import tokenmeter

meter = tokenmeter.configure(backend="memory:")
tokenmeter.instrument()

with offline("openai_background"):
    client = OpenAI()
    with tokenmeter.attribute(customer="acme", feature="reports"):
        job = client.responses.create(
            model="gpt-5.4-mini", input="Why did returns fall?", background=True
        )
    print(job.status)
    while job.status in {"queued", "in_progress"}:
        job = client.responses.retrieve(job.id)  # not attributed: the submit was
        print(job.status)

tokenmeter.flush()
(event,) = meter.backend.events
print(event.external_customer_id, event.properties["feature"], event.usage.total_tokens)
