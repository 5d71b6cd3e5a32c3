"""The areas of the vectors that tokenmeter leaves out, by pattern, each with the reason."""

from fnmatch import fnmatchcase

NO_USE = {
    "payment.*": "payments: tokenmeter invoices, it does not collect",
    "validation.payment_*": "payments: tokenmeter invoices, it does not collect",
    "commitment.tod_*": "windowed commitments: commitments by time of day",
    "validation.tod_*": "windowed commitments: commitments by time of day",
}


def is_left_out(area: str) -> bool:
    """Tell whether an area is of no use here."""
    return any(fnmatchcase(area, pattern) for pattern in NO_USE)
