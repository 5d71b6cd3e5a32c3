"""Which Flexprice a URL names, where its key comes from, and that it never shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokenmeter import TokenMeter
from tokenmeter.delivery.backends import backend_name
from tokenmeter.delivery.backends.flexprice import FlexpriceBackend
from tokenmeter.delivery.flexprice.account import KEY_FILE_VARIABLE, KEY_VARIABLE, account
from tokenmeter.errors import ConfigurationError

KEY = "sk_hunter2"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.delenv(KEY_FILE_VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("url", "base_url"),
    [
        ("flexprice://us", "https://us.api.flexprice.io/v1"),
        ("flexprice://in", "https://api.cloud.flexprice.io/v1"),
        ("FLEXPRICE://US/", "https://us.api.flexprice.io/v1"),
        ("flexprice://billing.example.com", "https://billing.example.com/v1"),
        ("flexprice+https://billing.example.com/api/v1/", "https://billing.example.com/api/v1"),
        ("flexprice+http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"),
        ("flexprice+http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
        ("flexprice+http://localhost:8080?timeout_s=2", "http://localhost:8080/v1"),
        ("flexprice+http://[::1]:8080/v1", "http://[::1]:8080/v1"),
    ],
)
def test_a_url_names_a_server(url: str, base_url: str) -> None:
    assert account(url, KEY).base_url == base_url


@pytest.mark.parametrize(
    "url",
    [
        "flexprice:",
        "flexprice://",
        "flexprice://eu",
        "flexprice://us:port",
        "flexprice+http://",
        "flexprice+ftp://host/v1",
        f"flexprice://{KEY}@us\n/v1",
        f"flexprice://{KEY}@eu",
        "flexprice://us#x",
        "flexprice://us?timeout_s=0",
        "flexprice://us?timeout_s=nan",
        "flexprice://us?timeout_s=9999",
        "flexprice://us?timeout=5",
        f"flexprice://us?api_key={KEY}",
    ],
)
def test_a_url_that_names_none_is_answered_by_one_sentence_without_secrets(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        account(url, KEY)
    assert KEY not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_key_comes_from_the_nearest_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, other = tmp_path / "key", tmp_path / "other"
    file.write_text("of_the_file\n")
    other.write_text("of_the_url\n")
    with pytest.raises(ConfigurationError, match=KEY_VARIABLE):
        account("flexprice://us")
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(file))
    assert account("flexprice://us").current_key() == "of_the_file"
    monkeypatch.setenv(KEY_VARIABLE, "of_the_environment")
    assert account("flexprice://us").current_key() == "of_the_environment"
    assert account(f"flexprice://us?key_file={other}").current_key() == "of_the_url"
    assert account("flexprice://us", key_file=file).current_key() == "of_the_file"
    assert account("flexprice://a%2Fb@us").current_key() == "a/b"
    assert account("flexprice://a@us", "argument").current_key() == "argument"


@pytest.mark.parametrize("key", ["a\nb", "a\n", "\n", "a b", "a\r", "ключ", "a\0b", "x" * 5_000])
def test_a_key_that_no_header_can_carry_is_refused_at_start_and_not_shown(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for refused in (
        lambda: account("flexprice://us", key),
        lambda: TokenMeter(FlexpriceBackend("flexprice://us", api_key=key), state_dir=tmp_path),
    ):
        with pytest.raises(ConfigurationError, match="header can carry") as raised:
            refused()
        assert key not in str(raised.value)
    if "\0" not in key:
        monkeypatch.setenv(KEY_VARIABLE, key)
        with pytest.raises(ConfigurationError, match="header can carry"):
            TokenMeter("flexprice://us", state_dir=tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb\n", b"\xff\xfe"])
def test_a_key_file_without_a_key_is_refused_at_start(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError):
        account("flexprice://us", key_file=file)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        account("flexprice://us", key_file=tmp_path)


def test_a_key_never_shows_in_a_repr() -> None:
    backend = FlexpriceBackend(f"flexprice://{KEY}@us")
    assert KEY not in repr(backend) + repr(backend.account) + str(backend.account)
    assert repr(backend) == "FlexpriceBackend('https://us.api.flexprice.io/v1')"


def test_delivery_remembers_the_server_and_not_the_key_or_the_options() -> None:
    name = backend_name("flexprice://us")
    assert backend_name(f"flexprice://{KEY}@us?timeout_s=3") == name
    assert backend_name("flexprice+https://us.api.flexprice.io/v1/") == name
    assert FlexpriceBackend("flexprice://us", api_key=KEY).name == name
    assert backend_name("flexprice://in") != name
