"""Run the gateway: ``python -m examples.gateway --replay`` needs no keys and no network."""

from __future__ import annotations

import argparse
import os

import uvicorn

from tokenmeter import ConfigurationError, TokenMeter

from .app import create_app
from .replay import Cassettes

KEYS_VARIABLE = "GATEWAY_KEYS"  # "key=customer,key=customer"
REPLAY_KEYS = "key-of-acme=acme,key-of-globex=globex"


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m examples.gateway", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--db", default="sqlite:///gateway.db", help="where the events go")
    parser.add_argument("--replay", action="store_true", help="answer from cassettes/")
    parser.add_argument("--enforce", choices=["wallet", "quota"], help="refuse what is not paid")
    options = parser.parse_args()
    said = os.environ.get(KEYS_VARIABLE) or (REPLAY_KEYS if options.replay else "")
    keys = dict(pair.strip().partition("=")[::2] for pair in said.split(","))
    if not all(keys) or not all(keys.values()):
        parser.error(f"set {KEYS_VARIABLE} to your customers' keys: key=customer,key=customer")
    enforcement = {"enforce": options.enforce} if options.enforce else {}
    transport = Cassettes() if options.replay else None
    try:
        app = create_app(TokenMeter(options.db), keys, transport=transport, **enforcement)
    except ConfigurationError as error:
        parser.error(str(error))
    uvicorn.run(app, host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
