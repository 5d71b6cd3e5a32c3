"""The areas of the vectors that tokenmeter leaves out, each with the reason."""

NO_USE = {
    "validation.payment_transition": "payments: tokenmeter invoices, it does not collect",
    "commitment.tod_contains": "windowed commitments: prices by time of day",
    "commitment.tod_list_contains": "windowed commitments: prices by time of day",
    "commitment.tod_has": "windowed commitments: prices by time of day",
    "validation.tod_bucket": "windowed commitments: prices by time of day",
    "validation.tod_alignment": "windowed commitments: prices by time of day",
    "validation.tod_overlap": "windowed commitments: prices by time of day",
}
UNSUPPORTED = NO_USE
