"""
The command line: `tokenmeter usage`, `tokenmeter events`, ...

Each command group is a module of this package with a typer application named `app`; its line in
COMMANDS is all that it takes to add one. A group is imported when it is used.
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from tokenmeter.errors import TokenmeterError

COMMANDS = (
    "catalog",
    "demo",
    "doctor",
    "events",
    "invoice",
    "jobs",
    "keys",
    "preview",
    "prices",
    "serve",
    "usage",
    "wallet",
)
EXIT_MISTAKE = 2  # the user's mistake: one sentence on stderr


class Commands(typer.core.TyperGroup):
    """Finds a command group by name, and turns errors of ours into one sentence."""

    # The context is typer's own copy of click's, or click's own, depending on typer's version.
    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Name the command groups."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Import one command group."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name  # a group has none of its own
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was chosen."""
        try:
            return super().invoke(ctx)
        except TokenmeterError as error:
            typer.echo(f"tokenmeter: {error}", err=True)
            raise typer.Exit(EXIT_MISTAKE) from error


def _print_version(asked: bool) -> None:  # noqa: FBT001  as typer calls it
    if asked:
        typer.echo(f"tokenmeter {version('tokenmeter')}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    name="tokenmeter",
    help="Meter and price every AI provider call.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},  # of the commands, too
    add_completion=False,
    pretty_exceptions_enable=False,  # they would print local variables
)


@app.callback()
def tokenmeter(
    *,
    version_asked: Annotated[  # told by its callback
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Meter and price every AI provider call."""


def main() -> None:
    """Run the command line; the console script `tokenmeter`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name that the terminal's letters lack
    app(prog_name="tokenmeter")
