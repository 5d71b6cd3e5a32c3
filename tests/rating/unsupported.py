"""The areas of the vectors that the rating core leaves out, each with the reason."""

NO_USE = {
    "validation.payment_transition": "payments: tokenmeter invoices, it does not collect",
    "commitment.tod_contains": "windowed commitments: prices by time of day",
    "commitment.tod_list_contains": "windowed commitments: prices by time of day",
    "commitment.tod_has": "windowed commitments: prices by time of day",
    "validation.tod_bucket": "windowed commitments: prices by time of day",
    "validation.tod_alignment": "windowed commitments: prices by time of day",
    "validation.tod_overlap": "windowed commitments: prices by time of day",
}
NOT_PURE = {
    "validation.bulk_events": "the size of a batch is refused at ingest (engine, server)",
    "validation.create_wallet": "looks a customer up (engine, server)",
    "wallet.transaction": "a record of the wallet's ledger (engine)",
}
UNSUPPORTED = NO_USE | NOT_PURE
