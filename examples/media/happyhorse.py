"""HappyHorse on Alibaba Model Studio: by the second, as long as the answer says it is."""

import httpx2
from replay import offline

import tokenmeter

API = "https://dashscope-intl.aliyuncs.com/api/v1"

meter = tokenmeter.configure(backend="memory:")
tokenmeter.instrument()

with offline("happyhorse"), httpx2.Client(headers={"authorization": "Bearer none"}) as client:
    with tokenmeter.attribute(customer="acme", feature="trailer"):
        submitted = client.post(
            f"{API}/services/aigc/video-generation/video-synthesis",
            headers={"x-dashscope-async": "enable"},
            json={
                "model": "happyhorse-1.1-t2v",
                "input": {"prompt": "A horse in a garden shop"},
                "parameters": {"resolution": "720P", "duration": 8},
            },
        )
    task_id = submitted.json()["output"]["task_id"]
    status = "PENDING"
    while status in {"PENDING", "RUNNING"}:
        answer = client.get(f"{API}/tasks/{task_id}").json()
        status = answer["output"]["task_status"]
        print(status)

tokenmeter.flush()
(event,) = meter.backend.events
print(event.event_name, event.external_customer_id, event.properties["model"])
print(event.usage.video_seconds, "seconds,", event.usage.video_jobs, "job")
print(event.properties["region"], event.properties["resolution"])
print("cost:", event.properties["cost_usd"], "USD")
