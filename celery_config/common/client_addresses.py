"""Addresses of clients, as limits count them. Pure."""

from __future__ import annotations

import ipaddress

OWN_BITS = 64
"""Who has one address of IPv6 has all with the same first bits (RFC 6177): a limit for each would be none."""


def find_client(address: str) -> str:
    """Return what stands for all addresses of a client: of IPv4 the address, of IPv6 the first one of its network.

    Raises:
        ValueError: it is no address.
    """
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed), OWN_BITS), strict=False).network_address)
