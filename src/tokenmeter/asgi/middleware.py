"""Pure ASGI middleware that meters the AI calls of a gateway, or of any application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from tokenmeter.asgi.admission import TOO_LARGE, Door
from tokenmeter.asgi.answer import refuse
from tokenmeter.asgi.asked import Asked
from tokenmeter.asgi.asking import Asking, GatewayRun
from tokenmeter.asgi.body import Body
from tokenmeter.asgi.charges import Charges
from tokenmeter.asgi.identity import Identifier, Identity, Source
from tokenmeter.asgi.incoming import App, Incoming, Send
from tokenmeter.asgi.metered import Metered
from tokenmeter.asgi.preview import PREVIEW_PATH, Price, is_preview, send_json
from tokenmeter.asgi.replays import IDEMPOTENCY_HEADER, Replays
from tokenmeter.asgi.routes import Route, Routes, plain, prefixes_of
from tokenmeter.attribution import Attribution, Scope
from tokenmeter.capture.observation import default_billable
from tokenmeter.capture.refusal import Refusal
from tokenmeter.capture.retries import new_id
from tokenmeter.default import default_meter
from tokenmeter.enforcement import (
    Enforce,
    Enforcement,
    Limit,
    Refused,
    Ticket,
    caution_of,
    enforcement_of,
    gate_of,
)
from tokenmeter.enforcement.gate import FREE
from tokenmeter.errors import ConfigurationError

if TYPE_CHECKING:
    from tokenmeter.meter import TokenMeter

NOBODY = Refusal(401, "This API key is not known; send the key that you were given.")
ATTRIBUTIONS_MAX = 4096  # remembered: customers with their features
BODY_BYTES_MAX = 32 * 1024 * 1024  # of a request that is looked at


class TokenMeterMiddleware:
    """
    Meter every AI call that a request makes or stands for, for the customer who sent it.

    ``app.add_middleware(TokenMeterMiddleware, customer=lookup)`` in Starlette and FastAPI,
    ``TokenMeterMiddleware(app, customer=lookup)`` anywhere else.

    `customer`, `feature`, `plan`: a function of the request (``Incoming``; plain or async),
    ``ApiKeys({...})`` for the customer, ``"path"`` for the others, or ``"header:NAME"``, which
    counts only from `trusted_proxies`. `prefixes` says which provider stands behind a path:
    ``{"/kling": "kling"}``; the paths of OpenAI, Anthropic and Google are known without.
    `routes` marks requests of your own that make AI calls. `meter`: default, the process's.
    With `anonymous=False` a request of nobody's is refused with 401.
    `enforce`: ``"wallet"`` holds what a call may be charged, before it is made, and settles it
    afterwards; ``"quota"`` refuses what the plan does not include; or a function of the Ask.
    `limits` bound requests, tokens and money; `enforcement` says what is done in doubt.
    A wrong configuration raises ConfigurationError at start.
    """

    def __init__(
        self,
        app: Any,  # each framework has types of its own for ASGI
        *,
        customer: Source | None = None,
        feature: Source | None = None,
        plan: Source | None = None,
        trusted_proxies: Iterable[str] = (),
        prefixes: Mapping[str, str] | Iterable[str] = (),
        routes: Callable[[Incoming], bool] | None = None,
        meter: TokenMeter | None = None,
        anonymous: bool = True,
        enforce: Enforce | None = None,
        limits: Sequence[Limit] = (),
        enforcement: Enforcement | None = None,
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        self.app: App = app
        self._identifier = Identifier(customer, feature, plan, trusted_proxies)
        self._routes = Routes(prefixes_of(prefixes), routes)
        self._meter = _checked(meter)
        self._charged: tuple[TokenMeter, Charges] | None = None
        self._replays = Replays()
        self._anonymous = anonymous
        terms = enforcement_of(enforcement)
        self._open_door = partial(_door, enforce=enforce, limits=limits, terms=terms)
        gated = enforce is not None or limits
        self._door = self._open_door(self._meter or default_meter()) if gated else None
        if not _is_size(body_bytes_max):
            raise ConfigurationError("body_bytes_max must be at least 1; leave it out for 32 MiB")
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one connection; what is not a metered HTTP request passes untouched."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Incoming(scope)
        route = self._routes.find(request)
        if route is None and plain(request.below_mount) != PREVIEW_PATH:
            await self.app(scope, receive, send)
            return
        meter = self._meter or default_meter()
        # A policy of the user's own may not bill retries: then nobody may say that it is one.
        own_policy = meter.policy.billable is not default_billable
        ours = request.sealed(doubts_retries=own_policy)
        asks_price = route is None or (bool(ours) and is_preview(ours))
        asked = self._identifier.ask(request)
        identity = asked if isinstance(asked, Identity) else await asked
        if identity.customer is None and not self._anonymous:
            await refuse(send, route, NOBODY)
            return
        body = Body(receive, self._body_bytes_max)
        if route is None or asks_price:
            await self._preview(Price(request, route, body, identity, meter), send)
            return
        asking = self._asking(request, route, body, identity, meter)
        if self._door is None:
            await Metered(asking, send, FREE).run(self.app)
        else:
            if self._door.meter is not asking.meter:  # the default meter is another one by now
                self._door = self._open_door(asking.meter) or self._door
            await self._enforced(self._door, asking, identity, send)

    async def _enforced(self, door: Door, asking: Asking, identity: Identity, send: Send) -> None:
        """Let a request through if it may be made; calls beyond it are asked about themselves."""
        try:
            ticket = await self._admitted(door, asking, identity)
        except Refused as refused:
            await refuse(send, asking.route, refused.refusal)
            return
        if ticket is not None:
            later = door.at_taps(asking.meter, identity.plan)
            await Metered(asking, send, ticket, later).run(self.app)

    async def _admitted(self, door: Door, asking: Asking, identity: Identity) -> Ticket | None:
        """
        Let a request in, or raise Refused; None if the client left while it was asking.

        The taps ask about the calls of a route of the user's own.
        """
        route, meter = asking.route, asking.meter
        if route.host is None:
            asking.scope.gate = door.at_taps(meter, identity.plan)
            return FREE
        if not await asking.body.ahead():
            raise Refused(TOO_LARGE)
        if asking.body.left:
            return None
        asked = Asked(asking.request, route, asking.body.known)
        return await door.admitted(meter, asked, identity, asking.reference)

    async def _preview(self, price: Price, send: Send) -> None:
        """Answer with what the request would cost; nothing is sent upstream."""
        status, answer = await price.answer(self._routes)
        if isinstance(answer, Refusal):
            await refuse(send, price.route, answer)
        else:
            await send_json(send, status, answer)

    def _asking(
        self,
        request: Incoming,
        route: Route,
        body: Body,
        identity: Identity,
        meter: TokenMeter,
    ) -> Asking:
        attribution = _attribution(identity.customer, identity.feature)
        headers = request.headers
        key = headers.get(IDEMPOTENCY_HEADER) if _IDEMPOTENCY in headers.known else None
        outer = self._replays.of(identity, request, key) if key else None
        run_id = new_id("run_") if outer is None or outer.run is None else outer.run.run_id
        run = GatewayRun(run_id, meter)
        scope = Scope(outer, attribution, run, meter)
        charged = self._charged
        if charged is None or charged[0] is not meter:  # the default one is another by now
            charges = Charges(getattr(meter.backend, "engine", None))
            charged = self._charged = (meter, charges)
        return Asking(request, route, body, scope, run, meter, charged[1])


_IDEMPOTENCY = IDEMPOTENCY_HEADER.encode()
_attribution = lru_cache(maxsize=ATTRIBUTIONS_MAX)(Attribution)


def _is_size(given: object) -> bool:
    return isinstance(given, int) and given >= 1


def _checked(meter: TokenMeter | None) -> TokenMeter | None:
    if meter is not None and not hasattr(meter, "policy"):
        raise ConfigurationError(
            f"meter= is of {type(meter).__name__}; give it a TokenMeter('sqlite:///usage.db')"
        )
    return meter


def _door(
    meter: TokenMeter, enforce: Enforce | None, limits: Sequence[Limit], terms: Enforcement
) -> Door | None:
    gate = gate_of(meter, enforce, limits, terms)
    return None if gate is None else Door(meter, gate, caution_of(meter, enforce, terms))
