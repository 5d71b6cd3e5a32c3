"""A small AI gateway: ``python -m examples.gateway --replay``. README.md says what it does."""
