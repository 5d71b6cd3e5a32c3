"""`tokenmeter invoice`: what customers owe, what has no price, what came late."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenmeter.cli.reading import (
    AsJson,
    Backend,
    Customer,
    Since,
    Until,
    instant,
    open_engine,
    print_json,
)
from tokenmeter.errors import TokenmeterError
from tokenmeter.event import parse_timestamp

if TYPE_CHECKING:
    from tokenmeter.engine.local import Engine

app = typer.Typer(help="What customers owe.", no_args_is_help=True, add_completion=False)

Whom = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's external id.")]
Which = Annotated[str, typer.Argument(metavar="INVOICE", help="The id or the number.")]
_PERIODS = "DAILY, WEEKLY, MONTHLY, QUARTERLY, HALF_YEARLY or ANNUAL."
_CYCLES = "calendar: periods begin on the 1st, on Monday, ...; anniversary: as the plan began."


@app.command()
def subscribe(
    customer: Whom,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="The plan's key, such as ai_pro.")],
    *,
    backend: Backend = None,
    currency: Annotated[str, typer.Option(help="The currency of the plan's prices.")] = "usd",
    period: Annotated[str, typer.Option(help=_PERIODS)] = "MONTHLY",
    cycle: Annotated[str, typer.Option(help=_CYCLES)] = "calendar",
    timezone: Annotated[
        str | None, typer.Option(help="Of a new customer: an IANA name. Default: UTC.")
    ] = None,
    since: Since = None,
    as_json: AsJson = False,
) -> None:
    """Give a customer a plan, from now or --since on; one who is not known yet is made."""
    fields = {
        "external_customer_id": customer,
        "plan_id": plan,
        "currency": currency,
        "billing_period": period,
        "billing_cycle": cycle,
        "start_date": instant(since, datetime.now(UTC)),
    }
    with open_engine(backend) as engine:
        _check_plan(engine, plan, customer)
        with _known(engine, customer, timezone):
            made = engine.subscriptions.create(fields)
        if as_json:
            print_json(made)
        else:
            _say_subscribed(engine, customer, plan, made)


@app.command()
def preview(
    customer: Whom,
    *,
    backend: Backend = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Show what a customer owes for the running period, or for the one that is named."""
    now = datetime.now(UTC)
    start, end = instant(since, now), instant(until, now)
    with open_engine(backend) as engine:
        plans = [body["id"] for body in _active(engine, customer)]
        found = [engine.invoice(subscription_id=one, start=start, end=end) for one in plans]
    if not found:
        raise TokenmeterError(
            f"there is no customer {customer!r} with a plan; give one a plan by "
            "`tokenmeter invoice subscribe CUSTOMER PLAN`"
        )
    if as_json and len(found) > 1:
        print_json(found)
        return
    for told in found:
        _show(told, [], as_json=as_json)


@app.command()
def run(*, backend: Backend = None, as_json: AsJson = False) -> None:
    """Give the credit grants and finalize all invoices that are due."""
    with open_engine(backend) as engine:
        done = engine.run_billing()
    _list(done, "No invoice is due.", as_json=as_json)


@app.command(name="list")
def list_invoices(
    *, backend: Backend = None, customer: Customer = None, as_json: AsJson = False
) -> None:
    """List invoices, the newest first."""
    with open_engine(backend) as engine:
        found, _ = engine.invoices.listed(customer=customer or "")
    _list(found, "There are no invoices yet.", as_json=as_json)


@app.command()
def show(invoice: Which, *, backend: Backend = None, as_json: AsJson = False) -> None:
    """Show an invoice, and what late events would have added to it."""
    with open_engine(backend) as engine:
        told = engine.invoices.get(invoice)
        late = engine.invoices.difference(invoice)
    _show(told, late, as_json=as_json)


@app.command()
def finalize(invoice: Which, *, backend: Backend = None, as_json: AsJson = False) -> None:
    """Close a draft: debit the wallet, give it its number."""
    with open_engine(backend) as engine:
        told = engine.invoices.finalize(invoice)
    _show(told, [], as_json=as_json)


@app.command()
def void(invoice: Which, *, backend: Backend = None, as_json: AsJson = False) -> None:
    """Void an invoice; its wallet gets its credits back."""
    with open_engine(backend) as engine:
        told = engine.invoices.void(invoice)
    _list([told], "", as_json=as_json)


def _say_subscribed(engine: Engine, customer: str, plan: str, made: dict[str, Any]) -> None:
    start = parse_timestamp(made["start_date"])
    prices = f"{len(made['line_items'])} prices, from {start:%Y-%m-%d %H:%M} UTC on"
    typer.echo(f"{made['id']}: {customer} has {plan}, {prices}")
    if engine.events(filters={"customer": customer}, end=start, limit=1).events:
        typer.echo("What was used before that is not billed by it; --since has it begin earlier.")


def _check_plan(engine: Engine, plan: str, customer: str) -> None:
    """Refuse a plan that is not there, and one that would be billed a second time."""
    from tokenmeter.engine.errors import NotFoundError

    for find in (engine.definitions.by_key, engine.definitions.get):
        with contextlib.suppress(NotFoundError):
            wanted = find("plan", plan)
            break
    else:
        raise TokenmeterError(
            f"there is no plan {plan!r}; bring plans by `tokenmeter catalog apply CATALOG`"
        )
    for body in _active(engine, customer):
        if body["plan_id"] == wanted["id"]:
            raise TokenmeterError(
                f"{customer} has {plan} already, and a second one would bill it twice; "
                f"engine.subscriptions.cancel({body['id']!r}) ends it"
            )


def _active(engine: Engine, customer: str) -> Sequence[dict[str, Any]]:
    """List the subscriptions of a customer that run or are to begin."""
    from tokenmeter.engine.errors import NotFoundError

    try:
        return engine.subscriptions.of_customer(customer, active=True)
    except NotFoundError:
        return ()


@contextlib.contextmanager
def _known(engine: Engine, customer: str, timezone: str | None) -> Generator[None]:
    """Make the customer if nobody knows it; if the block fails, nobody does as before."""
    from tokenmeter.engine.errors import NotFoundError

    try:
        known = engine.definitions.by_key("customer", customer)
    except NotFoundError:
        fields = {"external_id": customer, "name": customer, "timezone": timezone or "UTC"}
        new = engine.definitions.create("customer", fields)
        try:
            yield
        except TokenmeterError:
            engine.definitions.delete("customer", new["id"])
            raise
        return
    if timezone not in {None, known["timezone"]}:
        raise TokenmeterError(
            f"customer {customer!r} has the time zone {known['timezone']}, which its periods "
            "follow; leave --timezone out"
        )
    yield


def _show(told: dict[str, Any], late: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json({**told, "late": late})
        return
    # Rich takes a while to import: programs that ask for JSON do not wait for it.
    from tokenmeter.cli.invoice_table import print_invoice

    print_invoice(told, late)


def _list(found: list[dict[str, Any]], nothing: str, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo(nothing)
        return
    from tokenmeter.cli.invoice_table import print_invoices

    print_invoices(found)
