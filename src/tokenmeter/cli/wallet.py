"""`tokenmeter wallet`: prepaid credits of customers."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Annotated, Any

import typer

from tokenmeter.cli.reading import AsJson, Backend, open_engine, print_json
from tokenmeter.errors import TokenmeterError

app = typer.Typer(help="Prepaid credits of customers.", no_args_is_help=True, add_completion=False)

Whom = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's external id.")]
Which = Annotated[
    str,
    typer.Argument(metavar="WALLET", help="The wallet's id, as `wallet show CUSTOMER` has it."),
]
REASON = "PURCHASED_CREDIT_DIRECT"
_REASONS = "Why: PURCHASED_CREDIT_DIRECT or _INVOICED, FREE_CREDIT_GRANT, CREDIT_NOTE, ..."
_EXPIRES = "When what is left is gone: 2027-01-01 or 2027-01-01T08:30Z. Default: never."


@app.command()
def create(
    customer: Whom,
    *,
    backend: Backend = None,
    currency: Annotated[str, typer.Option(help="Three letters.")] = "usd",
    rate: Annotated[str, typer.Option(help="What one credit is worth in it.")] = "1",
    credits_given: Annotated[
        str, typer.Option("--credits", help="Credits that it begins with.")
    ] = "0",
    as_json: AsJson = False,
) -> None:
    """Open a wallet."""
    from tokenmeter.engine.errors import NotFoundError

    with open_engine(backend) as engine:
        fields = {
            "external_customer_id": customer,
            "currency": currency,
            "conversion_rate": rate,
            "initial_credits_to_load": credits_given,
        }
        try:
            made = engine.wallets.balance(engine.wallets.create(fields)["id"])
        except NotFoundError as error:
            raise TokenmeterError(
                f"there is no customer {customer!r}; make one with a plan by "
                "`tokenmeter invoice subscribe CUSTOMER PLAN`"
            ) from error
    _show([made], as_json=as_json)


@app.command()
def show(customer: Whom, *, backend: Backend = None, as_json: AsJson = False) -> None:
    """Show a customer's wallets: balance, what is left after usage, what is held."""
    with open_engine(backend) as engine:
        found = engine.wallets.of_customer(customer, real_time=True)
    if not found and not as_json:
        raise TokenmeterError(
            f"{customer!r} has no wallet; open one by `tokenmeter wallet create CUSTOMER`"
        )
    _show(found, as_json=as_json)


@app.command()
def topup(
    wallet: Which,
    amount: Annotated[str, typer.Argument(metavar="CREDITS", help="How many are added.")],
    *,
    backend: Backend = None,
    reason: Annotated[str, typer.Option(help=_REASONS)] = REASON,
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: a repeated top-up is the first one.")
    ] = None,
    expires: Annotated[str | None, typer.Option(metavar="TIME", help=_EXPIRES)] = None,
    priority: Annotated[int | None, typer.Option(help="The lowest is used first.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add credits."""
    with open_engine(backend) as engine:
        fields = {
            "credits_to_add": amount,
            "transaction_reason": reason,
            "idempotency_key": key,
            "expiry_date_utc": expires,
            "priority": priority,
        }
        with _there(wallet):
            engine.wallets.top_up(wallet, fields)
        told = engine.wallets.balance(wallet)
    _show([told], as_json=as_json)


@app.command()
def transactions(
    wallet: Which,
    *,
    backend: Backend = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many lines.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show a wallet's ledger, the newest line first."""
    with open_engine(backend) as engine, _there(wallet):
        page = engine.wallets.transactions(wallet, limit=limit)
    if as_json:
        print_json(page)
        return
    from tokenmeter.cli.invoice_table import print_transactions

    print_transactions(page["items"])


@contextlib.contextmanager
def _there(wallet: str) -> Generator[None]:
    """Say where the ids of wallets are found if this is none: a customer has several."""
    from tokenmeter.engine.errors import NotFoundError

    try:
        yield
    except NotFoundError as error:
        raise TokenmeterError(
            f"there is no wallet {wallet!r}; `tokenmeter wallet show CUSTOMER` has the ids"
        ) from error


def _show(wallets: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(wallets)
        return
    # Rich takes a while to import: programs that ask for JSON do not wait for it.
    from tokenmeter.cli.invoice_table import print_wallets

    print_wallets(wallets)
