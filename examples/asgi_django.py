"""Django: the middleware goes around the ASGI application."""

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from openai import AsyncOpenAI
from replay import offline
from starlette.testclient import TestClient

import tokenmeter
from tokenmeter.asgi import ApiKeys, Incoming, TokenMeterMiddleware

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["shop"], SECRET_KEY="none")  # noqa: S106
django.setup()
meter = tokenmeter.configure(backend="memory:")  # sqlite:///usage.db keeps the events
tokenmeter.instrument()


async def ask(_request: HttpRequest) -> HttpResponse:
    """Answer with what the model says."""
    answer = await AsyncOpenAI().chat.completions.create(
        model="gpt-5.4-mini",
        messages=[{"role": "user", "content": "My plant arrived dry. What now?"}],
    )
    return HttpResponse(answer.choices[0].message.content)


urlpatterns = [path("ask", ask)]


def ours(request: Incoming) -> bool:
    """Which routes make AI calls."""
    return request.path == "/ask"


app = TokenMeterMiddleware(
    get_asgi_application(), customer=ApiKeys({"key-of-acme": "acme"}), feature="path", routes=ours
)


with offline("openai_chat"):  # any client of ASGI applications will do; this one is at hand
    answered = TestClient(app, "http://shop").get("/ask", headers={"x-api-key": "key-of-acme"})

print(answered.text)
tokenmeter.flush()
(event,) = meter.backend.events
print(event.external_customer_id, event.properties["feature"], event.properties["cost_usd"], "USD")
