"""What requests that only ask look like, for the OpenAPI document."""

from __future__ import annotations

from tokenmeter.server.schemas import (
    DECIMAL,
    NAME,
    TEXT,
    TIME,
    VALUES,
    WHOLE,
    fields,
    one_of,
    several,
)

_ASKED = {
    "external_customer_id": TEXT,
    "customer_id": TEXT,
    "start_time": TIME,
    "end_time": TIME,
    "window_size": TEXT,
    "bucket_size": TEXT,
    "filters": VALUES,
    "billing_anchor": TIME,
    "timezone": TEXT,
    "group_by": several(TEXT),
    "group_by_property": TEXT,
}
USAGE = fields(
    ("event_name", "aggregation_type"),
    event_name=NAME,
    aggregation_type=NAME,
    property_name=TEXT,
    multiplier=DECIMAL,
    **_ASKED,
)
METER_USAGE = fields(("meter_id",), meter_id=NAME, **_ASKED)
ANALYTICS = fields(
    ("external_customer_id",),
    external_customer_id=NAME,
    feature_ids=several(TEXT),
    sources=several(TEXT),
    start_time=TIME,
    end_time=TIME,
    group_by=several(TEXT),
    window_size=TEXT,
    property_filters=VALUES,
)
COST_ANALYTICS = fields(
    ("start_time", "end_time"),
    start_time=TIME,
    end_time=TIME,
    external_customer_id=TEXT,
    feature_ids=several(TEXT),
    property_filters=VALUES,
)
EVENTS_QUERY = fields(
    external_customer_id=TEXT,
    event_name=TEXT,
    event_id=TEXT,
    source=TEXT,
    start_time=TIME,
    end_time=TIME,
    property_filters=VALUES,
    page_size=WHOLE,
    offset=WHOLE,
    iter_last_key=TEXT,
    order=one_of("asc", "desc"),
)
