"""Every kind of definition, by the name of its documents."""

from __future__ import annotations

from collections.abc import Mapping

from tokenmeter.engine.definitions.customers import CUSTOMER
from tokenmeter.engine.definitions.entitlements import ENTITLEMENT
from tokenmeter.engine.definitions.features import FEATURE
from tokenmeter.engine.definitions.grants import CREDIT_GRANT
from tokenmeter.engine.definitions.meters import METER
from tokenmeter.engine.definitions.plans import COSTSHEET, PLAN
from tokenmeter.engine.definitions.prices import PRICE
from tokenmeter.engine.definitions.registry import Kind
from tokenmeter.engine.definitions.units import PRICE_UNIT

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        COSTSHEET,
        CREDIT_GRANT,
        CUSTOMER,
        ENTITLEMENT,
        FEATURE,
        METER,
        PLAN,
        PRICE,
        PRICE_UNIT,
    )
}
