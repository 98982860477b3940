"""What a verb would send, in words: each message is a deed, also the last one."""

from __future__ import annotations

import pytest

from celery_config.saga.operations.acts import describe_link


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("do reserve-stock", "reserve the stock"),
        ("undo reserve-stock", "release the stock"),
        ("fence capture-payment", "find out whether payment did capture the payment, and stop it if not"),
        ("complete", "tell the order service that all is done"),
        ("compensated", "tell the order service that all is undone"),
    ],
)
def test_each_link_says_what_is_done(link: str, words: str) -> None:
    assert describe_link(link) == words
