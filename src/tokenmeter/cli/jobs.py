"""`tokenmeter jobs`: what was submitted and has not ended; `jobs poll` asks the providers."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenmeter.cli.reading import AsJson, Backend, Customer, print_json
from tokenmeter.errors import ConfigurationError

if TYPE_CHECKING:
    from tokenmeter.cli.jobs_waiting import Waiting
    from tokenmeter.meter import TokenMeter

app = typer.Typer(
    help="List the jobs that have not ended, or ask the providers for them.", add_completion=False
)

DELIVER_TIMEOUT_S = 10.0  # for what processes that ended have left: submits, maybe
JOBS_MAX = 100  # polled by one command, the oldest first
EXIT_REFUSED = 1  # a job could not be asked for

Provider = Annotated[str | None, typer.Option(metavar="NAME", help="Only this provider's.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Poll at most this many.")]
TimeoutS = Annotated[
    float, typer.Option("--timeout", min=0.1, help="Seconds that one answer may take.")
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="Ask this host, a gateway with the provider's paths; needs --provider. "
        "It is sent the provider's key.",
    ),
]
Like = Annotated[
    str | None,
    typer.Option(
        "--like",
        metavar="NAME",
        help="Whose API --provider has, where that is the host of a gateway: kling, byteplus, …",
    ),
]


@app.callback(invoke_without_command=True)
def jobs(
    ctx: typer.Context,
    *,
    backend: Backend = None,
    provider: Provider = None,
    customer: Customer = None,
    as_json: AsJson = False,
) -> None:
    """List the jobs that have not ended: their age, whose they are, what they may cost."""
    if ctx.invoked_subcommand is not None:
        return
    with _opened(backend) as meter:
        found = _waiting(meter, provider, customer)
    if as_json:
        print_json([waiting.plain() for waiting in found])
        return
    # Rich takes a while to import: programs that ask for JSON do not wait for it.
    from tokenmeter.cli.jobs_table import print_waiting

    print_waiting(found)


@app.command()
def poll(
    *,
    backend: Backend = None,
    provider: Provider = None,
    customer: Customer = None,
    limit: Limit = JOBS_MAX,
    timeout: TimeoutS = 20.0,
    base_url: BaseUrl = None,
    like: Like = None,
    as_json: AsJson = False,
) -> None:
    """
    Ask the providers how the pending jobs stand, and settle those that have ended.

    Keys are read from the environment variables of the vendors' own clients. Exit code 1 if a
    job could not be asked for.
    """
    from tokenmeter.cli.jobs_poll import Asking, ask
    from tokenmeter.providers.polls import POLLS

    if provider is None and (base_url or like):
        raise ConfigurationError(
            "--base-url and --like need --provider: whose paths does that host have?"
        )
    if like is not None and like not in POLLS:
        raise ConfigurationError(f"--like {like[:40]!r} is none of {', '.join(sorted(POLLS))}")
    asking = Asking(timeout, base_url, like)
    with _opened(backend, asking.hosts(provider)) as meter:
        answers = ask(meter, _waiting(meter, provider, customer)[:limit], asking)
    if as_json:
        print_json([answer._asdict() for answer in answers])
    else:
        from tokenmeter.cli.jobs_table import print_answers

        print_answers(answers)
    if any(answer.result == "refused" for answer in answers):
        raise typer.Exit(EXIT_REFUSED)


@contextmanager
def _opened(url: str | None, hosts: dict[str, str] | None = None) -> Generator[TokenMeter]:
    """Open the meter, and deliver what ended processes have left: their submits are known then."""
    from tokenmeter.meter import TokenMeter  # here to keep `--help` fast

    meter = TokenMeter(url, hosts=hosts)
    try:
        meter.flush(DELIVER_TIMEOUT_S)
        yield meter
    finally:
        meter.shutdown(DELIVER_TIMEOUT_S)


def _waiting(meter: TokenMeter, provider: str | None, customer: str | None) -> list[Waiting]:
    from tokenmeter.cli.jobs_waiting import waiting_of

    now = datetime.now(UTC)
    found = [waiting_of(job, meter.prices, now) for job in meter.jobs.pending()]
    named: dict[str, Any] = {"provider": provider, "customer": customer}
    wanted = {name: value for name, value in named.items() if value is not None}
    kept = (w for w in found if all(getattr(w, name) == v for name, v in wanted.items()))
    return sorted(kept, key=lambda w: -w.age_s)
