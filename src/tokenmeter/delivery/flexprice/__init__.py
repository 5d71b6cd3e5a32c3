"""Flexprice's HTTP API: where it is, how an event is written, what an answer means."""
