"""Everything tokenmeter raises on purpose. Each docstring is the message the user reads."""

from __future__ import annotations


class TokenmeterError(Exception):
    """tokenmeter could not do what you asked; read the cause and correct it."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__ or "")


class ConfigurationError(TokenmeterError, ValueError):
    """The configuration is wrong; correct the value named and start again."""


class UnknownClientError(TokenmeterError, TypeError):
    """This client cannot be wrapped; pass an OpenAI, Anthropic, genai or httpx(2) client."""


class MissingExtraError(TokenmeterError, ImportError):
    """An optional part is not installed; run the pip command that is named."""


class NoCallError(TokenmeterError, LookupError):
    """The function made no provider call; pass one that does."""


class JobError(TokenmeterError, ValueError):
    """This is not the body of a webhook that can be read; the job stays pending."""


class CurrencyError(TokenmeterError, ValueError):
    """Amounts in two currencies cannot be added; convert one of them first."""


class QueryError(TokenmeterError, ValueError):
    """The question cannot be answered as it was asked; correct the value named."""


class StoreError(TokenmeterError, RuntimeError):
    """The store could not be read or written; look at the cause and try again."""


class StoreBusyError(StoreError):
    """Another process kept the store locked for too long; try again."""


class PreviewError(TokenmeterError, ValueError):
    """The call cannot be previewed as it was asked; correct the value named."""
