"""Where the local engine keeps events: the only place that knows SQL."""
