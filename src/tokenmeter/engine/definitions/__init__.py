"""The definitions: checked, kept as documents, answered with Flexprice's bodies."""
