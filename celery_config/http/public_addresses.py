"""Public addresses: a host that people name is resolved once, and is called only where everybody may call.

Otherwise a person who may write an address into a form reads what only our own network may reach (server-side request
forgery, SSRF). The connection goes to the address that was checked: a second look-up could give another one.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import httpcore

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], list[str]]
"""Returns the addresses of a host at which it may be called."""

# Addresses of IPv6 that stand for one of IPv4: translated (RFC 6052), and 6to4 (RFC 3056).
TRANSLATED, SIX_TO_FOUR = IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16")


class AddressForbidden(httpcore.ConnectError):
    """The host has an address that is not public and is not in an allowed network."""


def parse_networks(texts: Sequence[str]) -> list[Network]:
    """
    Raises:
        ValueError: a text is no network, such as 10.0.0.0/8.
    """
    return [ipaddress.ip_network(text.strip()) for text in texts if text.strip()]


def unwrap(address: Address) -> Address:
    """Return the address of IPv4 for which one of IPv6 stands, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address in TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in SIX_TO_FOUR:
        return IPv4Address(int(address) >> 80 & 0xFFFF_FFFF)
    return address


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether it is in one of the networks, or public: not private, loopback, link-local, multicast or reserved."""
    real = unwrap(address)
    if any(real in network for network in networks if network.version == real.version):
        return True
    return real.is_global and not (real.is_multicast or real.is_reserved or real.is_unspecified)


def make_resolver(networks: Sequence[Network]) -> Resolve:
    """Return what resolves a host to addresses at which it may be called.

    Args:
        networks: further networks that may be called.
    """

    def resolve(host: str, port: int) -> list[str]:
        """
        Raises:
            httpcore.ConnectError: there is no such host.
            AddressForbidden: one of its addresses may not be called; then none is.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} is not found: {error}") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            # A zone names one of our own links.
            if "%" in address or not is_allowed(ipaddress.ip_address(address), networks):
                # Not which one: who may not reach our network does not learn its addresses either.
                raise AddressForbidden(
                    f"{host} has an address that is not public; NOTIFY_NETWORKS allows more"
                )
        return addresses

    return resolve
