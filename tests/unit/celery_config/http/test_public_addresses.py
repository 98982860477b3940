"""Which addresses may be called for an address that people wrote: public ones, and networks that were named."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import httpcore
import httpx
import pytest

from celery_config.http.client import Deadline, DeadlineTransport
from celery_config.http.public_addresses import AddressForbidden, is_allowed, make_resolver, parse_networks

Look = Callable[..., Any]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "0.1.2.3",
        "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fc00::1",
        "fd12::1", "fe80::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1", "2001:db8::1", "::127.0.0.1",
    ],
)  # fmt: skip
def test_what_is_not_public_is_forbidden(address: str) -> None:
    assert not is_allowed(ip_address(address), [])


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_what_is_public_is_allowed(address: str) -> None:
    assert is_allowed(ip_address(address), [])


def test_a_named_network_is_allowed_and_no_other() -> None:
    networks = parse_networks(["10.0.0.0/8", " ::1/128", ""])
    assert is_allowed(ip_address("10.9.9.9"), networks)
    assert is_allowed(ip_address("::ffff:10.9.9.9"), networks)
    assert is_allowed(ip_address("::1"), networks)
    assert not is_allowed(ip_address("127.0.0.1"), networks)
    with pytest.raises(ValueError, match="does not appear"):
        parse_networks(["example.com"])


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every host be at these addresses; return what is asked for."""
    asked: list[str] = []

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_a_host_with_one_private_address_is_not_called_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "1.1.1.1", "127.0.0.1")
    with pytest.raises(AddressForbidden, match=r"example\.com has an address that is not public"):
        make_resolver([])("example.com", 443)


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes between two look-ups (DNS rebinding) gains nothing."""
    asked, called = resolve_to(monkeypatch, "1.1.1.1", "1.0.0.1"), []

    def connect(self: Any, host: str, *_: Any) -> Any:
        called.append(host)
        raise httpcore.ConnectError("refused")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    client = httpx.Client(transport=DeadlineTransport(Deadline(), make_resolver([])))
    with pytest.raises(httpx.ConnectError):
        client.get("https://example.com/")
    assert (asked, called) == (["example.com"], ["1.1.1.1", "1.0.0.1"])


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "2130706433", "0x7f000001", "127.1"])
def test_no_way_of_writing_it_reaches_this_machine(host: str) -> None:
    client = httpx.Client(transport=DeadlineTransport(Deadline(), make_resolver([])))
    with pytest.raises(httpx.ConnectError, match=r"not public|not found"):
        client.post(f"http://{host}:1/", content=b"{}")
