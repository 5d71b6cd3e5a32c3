"""`tokenmeter preview`: what a call will cost and be charged, before it is made."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokenmeter.cli.reading import AsJson, Backend, open_engine, print_json
from tokenmeter.config import PRICES_VARIABLE, default_backend_url, prices_file
from tokenmeter.errors import PreviewError

if TYPE_CHECKING:
    from tokenmeter.pricing.quote import Quote, Range

app = typer.Typer(add_completion=False)

Provider = Annotated[str, typer.Option(metavar="NAME", help="Who answers: openai, kling, ...")]
Model = Annotated[str, typer.Option(metavar="NAME", help="The model, as its API names it.")]
For = Annotated[str | None, typer.Option(metavar="ID", help="The customer who would be charged.")]
Feature = Annotated[
    str | None, typer.Option(metavar="NAME", help="Expect what this feature's calls used before.")
]
Prices = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A price list of your own, or the bundled sheet `studio`; its rows go first. "
        f"Default: {PRICES_VARIABLE}.",
    ),
]


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def preview(
    context: typer.Context,
    *,
    provider: Provider,
    model: Model,
    customer: For = None,
    feature: Feature = None,
    backend: Backend = None,
    prices: Prices = None,
    as_json: AsJson = False,
) -> None:
    """
    Say what a call will cost, and what its customer will be charged, before it is made.

    Parameters of the call follow as options or as name=value: --size 1024x1024 quality=high n=2
    """
    said = parameters(context.args)
    found = _quoted(
        provider, model, said, Source(backend, prices or prices_file()), (customer, feature)
    )
    if found.cost is None and found.charge is None:
        raise PreviewError(found.notes[0])
    if as_json:
        print_json(plain(found))
        return
    # Rich takes a while to import: programs that ask for JSON do not wait for it.
    from tokenmeter.cli.preview_table import print_quote

    print_quote(found)


class Source:
    """Where prices and history are from."""

    def __init__(self, backend: str | None, prices: Path | None) -> None:
        self.prices = prices
        self._backend = backend

    @contextlib.contextmanager
    def engine(self) -> Generator[Any]:
        """Open the store that is named, or that is there; None if there is none."""
        if self._backend is None and _is_missing(default_backend_url()):
            yield None
            return
        with open_engine(self._backend) as engine:
            yield engine


def _quoted(
    provider: str,
    model: str,
    said: dict[str, Any],
    source: Source,
    whose: tuple[str | None, str | None],
) -> Quote:
    # The price book takes a while to load: `--help` does not wait for it.
    from tokenmeter.attribution import Attribution
    from tokenmeter.previews import Previews
    from tokenmeter.pricing.pricebook import PriceBook

    with source.engine() as engine:
        previews = Previews(PriceBook(source.prices), engine, {})
        return previews.by_keywords(provider, model, said, Attribution(*whose))


def parameters(arguments: Iterable[str]) -> dict[str, Any]:
    """Read ``--size 1024x1024``, ``--n=2`` and ``quality=high``; raises PreviewError."""
    found: dict[str, Any] = {}
    pending: str | None = None
    for argument in arguments:
        if pending is not None:
            found[pending] = _value(argument)
            pending = None
            continue
        name, equals, text = argument.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if not name.isidentifier() or not (equals or argument.startswith("--")):
            raise PreviewError(f"{argument[:40]!r} is no parameter; write --name value")
        if equals:
            found[name] = _value(text)
        else:
            pending = name
    if pending is not None:
        raise PreviewError(f"--{pending} has no value; write --{pending} value")
    return found


def _value(text: str) -> Any:
    """Read JSON where a list or an object begins; anything else is a text."""
    if text[:1] not in {"[", "{"}:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def plain(quote: Quote) -> dict[str, Any]:
    """Return all that a quote says, for programs."""
    return {
        "provider": quote.provider,
        "model": quote.model,
        "customer": quote.customer,
        "cost": _range(quote.cost),
        "charge": _range(quote.charge),
        "exact": quote.exact,
        "basis": quote.basis,
        "notes": list(quote.notes),
        "usage": {k: n if isinstance(n, int) else f"{n:f}" for k, n in quote.usage.items()},
        "lines": [
            {
                "metric": line.metric,
                "quantity": line.quantity
                if isinstance(line.quantity, int)
                else str(line.quantity),
                "rate": f"{line.rate:f}",
                "per": line.per,
                "amount": f"{line.amount:f}",
            }
            for line in quote.lines
        ],
    }


def _range(found: Range | None) -> dict[str, str] | None:
    if found is None:
        return None
    ends = {"low": found.low, "expected": found.expected, "high": found.high}
    return {
        **{name: f"{money.amount:f}" for name, money in ends.items()},
        "currency": found.expected.currency.upper(),
    }


def _is_missing(url: str) -> bool:
    scheme, _, path = url.partition(":///")
    return scheme != "sqlite" or not Path(path).is_file()
