"""
Hosts that the user names: which provider stands behind a base URL that does not tell.

A name that we know brings the provider's own way of counting with it; any other name becomes
the provider's name, as an unknown host would have become.
"""

from __future__ import annotations

from collections.abc import Mapping

from tokenmeter.errors import ConfigurationError
from tokenmeter.providers import adapters, by_host
from tokenmeter.providers.compatible import HOSTS

_NAME_CHARS_MAX = 100
# Providers that are known by the form of their hosts: one that stands for all, of those who sell
# in several regions at other prices the international one.
_STANDS_FOR = {
    "alibaba": "dashscope-intl.aliyuncs.com",
    "azure": "named.openai.azure.com",
    "bedrock": "bedrock-runtime.named.amazonaws.com",
    "byteplus": "ark.ap-southeast.bytepluses.com",
    "deepgram": "api.deepgram.com",
    "google-vertex": "aiplatform.googleapis.com",
    "kling": "api.klingai.com",
    "snowflake": "named.snowflakecomputing.com",
    "watsonx": "named.ml.cloud.ibm.com",
}


def named_hosts(hosts: Mapping[str, str]) -> dict[str, str]:
    """
    Return for each host that the user names the host by which our adapters know its provider.

    ``{"llm.internal:8000": "vllm"}``: a host without a port stands for all of its ports.
    Raises ConfigurationError for what is no host or no name.
    """
    if not _is_mapping(hosts):
        raise ConfigurationError(f"hosts={hosts!r} must be a mapping: {{'llm.internal': 'vllm'}}")
    return {_checked(host): host_of(_named(host, name)) for host, name in hosts.items()}


def _is_mapping(given: object) -> bool:
    return isinstance(given, Mapping)


def known_host(authority: str, named: Mapping[str, str]) -> str:
    """
    Return the host that adapters are asked about: the named one, else what was sent.

    `authority` is lower case, with the port if one was sent; it counts only where it is named,
    and for Ollama, which is known by it.
    """
    found = named.get(authority)
    if found is not None:
        return found
    host = _bare(authority)
    if host == authority or by_host(authority) is not None:
        return authority
    return named.get(host, host)


def _bare(authority: str) -> str:
    """Leave out the port, and the dot that may end a full name."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0]  # an IPv6 address
    return authority.partition(":")[0].removesuffix(".")


def _checked(host: object) -> str:
    if not isinstance(host, str) or not host.strip() or "/" in host:
        raise ConfigurationError(
            f"hosts names {host!r}, which is no host; use one such as 'llm.internal:8000', "
            "without 'https://' and path"
        )
    return host.strip().lower()


def _named(host: str, name: object) -> str:
    if not isinstance(name, str) or not 0 < len(name.strip()) <= _NAME_CHARS_MAX:
        raise ConfigurationError(
            f"hosts gives {host!r} the name {name!r}; use a provider's name such as 'vllm'"
        )
    return name.strip()


def host_of(name: str) -> str:
    """Return the first host of the provider of this name; the name itself if it has none."""
    owned = (adapter.hosts[0] for adapter in adapters() if adapter.name == name and adapter.hosts)
    listed = (host for host, provider in HOSTS.items() if provider == name)
    return next(owned, None) or next(listed, None) or _STANDS_FOR.get(name, name)
