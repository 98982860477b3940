"""All addresses of one client count as one."""

from __future__ import annotations

import pytest

from celery_config.common.client_addresses import find_client


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::1%eth0", "2001:db8:1:2::"),
        ("::1", "::"),
    ],
)
def test_a_client_has_one_address_of_ipv4_or_one_network_of_ipv6(address: str, client: str) -> None:
    assert find_client(address) == client


@pytest.mark.parametrize("text", ["", "unknown", "192.0.2.7:80", "192.0.2.007"])
def test_another_text_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        find_client(text)
