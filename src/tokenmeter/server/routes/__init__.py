"""The routes, a file for each group of things; they translate and decide nothing."""

from __future__ import annotations

from tokenmeter.server.routes import (
    analytics,
    charges,
    costs,
    credit_grants,
    customers,
    entitled,
    entitlements,
    event_log,
    events,
    features,
    holds,
    invoices,
    keys,
    meters,
    plans,
    price_units,
    prices,
    subscriptions,
    usage,
    wallets,
)

ROUTERS = (
    analytics.router,
    usage.router,
    events.router,
    event_log.router,
    meters.router,
    features.router,
    entitled.router,
    subscriptions.router,  # before customers, whose external ids may hold slashes
    wallets.router,
    customers.router,
    plans.router,
    price_units.router,  # before prices: /prices/units is no price
    prices.router,
    entitlements.router,
    credit_grants.router,
    costs.router,
    invoices.router,
    holds.router,
    charges.router,
    keys.router,
)
