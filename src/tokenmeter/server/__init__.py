"""Flexprice's REST API over the local engine: `tokenmeter serve`. Needs the extra `server`."""
