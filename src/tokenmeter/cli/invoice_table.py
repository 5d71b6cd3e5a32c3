"""Invoices, wallets and their ledgers for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from tokenmeter.cli.tables import UNPRICED, console, print_whole, shown, table

if TYPE_CHECKING:
    from rich.table import Table

Json = Mapping[str, Any]


def print_invoice(invoice: Json, late: Iterable[Json]) -> None:
    """Print an invoice: its lines with tiers, what has no price, the totals."""
    currency = str(invoice["currency"]).upper()
    number = invoice["invoice_number"] or invoice["invoice_status"].lower()
    screen = console()
    screen.print(
        f"invoice {number}, {_day(invoice, 'period_start')} to {_day(invoice, 'period_end')}, "
        f"{currency}"
    )
    lines = [line for line in invoice["line_items"] if not _is_empty(line)]
    found = table(("item", "for", "quantity", "unit price", "amount"), numbers=_NUMBERS)
    for line in lines:
        _add(found, line)
    for one in invoice["unpriced"]:
        found.add_row(*_unpriced(one))
    if found.row_count:
        print_whole(screen, found)
    if len(lines) < len(invoice["line_items"]):
        empty = len(invoice["line_items"]) - len(lines)
        screen.print(f"{empty} prices billed nothing; --json shows their lines.")
    for name, label in _TOTALS:
        if name in {"total", "amount_due"} or str(invoice[name]).strip("0."):
            screen.print(f"{label:>16}  {invoice[name]}")
    for change in late:
        screen.print(
            f"came late, not billed: {change['display_name']} {change['quantity']} "
            f"({change['amount']} {currency})"
        )


def print_invoices(invoices: Iterable[Json]) -> None:
    """Print one row per invoice."""
    found = table(
        ("number", "id", "status", "from", "to", "total", "due"), numbers=("total", "due")
    )
    for invoice in invoices:
        found.add_row(
            shown(invoice["invoice_number"]),
            invoice["id"],
            invoice["invoice_status"].lower(),
            _day(invoice, "period_start"),
            _day(invoice, "period_end"),
            invoice["total"],
            f"{invoice['amount_remaining']} {invoice['currency'].upper()}",
        )
    print_whole(console(), found)


def print_wallets(wallets: Iterable[Json]) -> None:
    """Print one row per wallet."""
    names = ("wallet", "credits", "balance", "real time", "held", "available", "alert")
    found = table(names, numbers=names[1:6])
    for wallet in wallets:
        currency = str(wallet["currency"]).upper()
        found.add_row(
            wallet["id"],
            wallet["credit_balance"],
            f"{wallet['balance']} {currency}",
            wallet["real_time_balance"],
            wallet["held_amount"],
            wallet["available_balance"],
            wallet["alert_state"],
        )
    print_whole(console(), found)


def print_transactions(transactions: Iterable[Json]) -> None:
    """Print a ledger, the newest line first."""
    names = ("time", "what", "credits", "balance", "reference")
    found = table(names, numbers=("credits", "balance"))
    for one in transactions:
        sign = "-" if one["type"] == "debit" else "+"
        found.add_row(
            one["created_at"][:19].replace("T", " "),
            one["transaction_reason"].lower(),
            f"{sign}{one['credit_amount']}",
            one["credit_balance_after"],
            shown(one["reference_id"]),
        )
    print_whole(console(), found)


_NUMBERS = ("quantity", "unit price", "amount")
_TOTALS = (
    ("subtotal", "subtotal"),
    ("total_discount", "discounts"),
    ("total_tax", "tax"),
    ("total", "total"),
    ("total_prepaid_credits_applied", "paid by credits"),
    ("amount_due", "due"),
)


def _is_empty(line: Json) -> bool:
    """Tell whether nothing was used or charged, nor taken off."""
    return line["usage_quantity"] == "0" and not line["amount"].strip("0.")


def _add(found: Table, line: Json) -> None:
    found.add_row(*_line(line))
    for tier in line["tiers"] if len(line["tiers"]) > 1 else ():
        price, amount = tier["unit_amount"], tier["amount"]
        found.add_row(Text("  tier", style="dim"), "", tier["quantity"], price, amount)


def _line(line: Json) -> tuple[Text | str, ...]:
    name = line["display_name"] + (" (overage)" if line["is_overage"] else "")
    included = line["adjusted_entitlement_quantity"]
    if included != "0":
        name += f" ({included} included)"
    keys = ", ".join(f"{k}={'|'.join(v)}" for k, v in line["filter_values"].items())
    return (shown(name), shown(keys), line["quantity"], line["unit_amount"], line["amount"])


def _unpriced(one: Json) -> tuple[Text | str, ...]:
    keys = ", ".join(f"{k}={v}" for k, v in one["properties"].items())
    counted = (
        ", ".join(f"{v} {k}" for k, v in one["quantities"].items()) or f"{one['events']} events"
    )
    what = f"{one['event_name']}: {one['reason']}"
    return (shown(what), shown(keys), shown(counted), "", Text(UNPRICED, style="yellow"))


def _day(invoice: Json, name: str) -> str:
    return str(invoice[name])[:10]
