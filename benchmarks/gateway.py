"""What the middleware and the gateway cost: see gateway_load.py, which has a name of its own."""

from __future__ import annotations

from gateway_load import main

if __name__ == "__main__":
    main()
