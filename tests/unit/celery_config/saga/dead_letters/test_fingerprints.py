"""One fault is one group, whatever ids and values it names; two faults are two."""

from __future__ import annotations

import pytest

from celery_config.saga.dead_letters.fingerprints import FINGERPRINT_LENGTH, find_fingerprint, generalise


@pytest.mark.parametrize(
    ("fault", "general"),
    [
        ("unknown task 'payment.pay'", "unknown task …"),
        ("it is of 0f7c1a52-1111-4222-8333-123456789abc, and names another", "it is of …, and names another"),
        ("its body has 1,048,577 bytes, more than 1048576", "its body has … bytes, more than …"),
        ('Invalid enum value "x" - at `$.kind`', "Invalid enum value … - at `$.kind`"),
        ("Object missing required field `lines`", "Object missing required field `lines`"),
        (
            "Expected `int`, got `str` - at `$.lines[0].quantity`",
            "Expected `int`, got `str` - at `$.lines[…].quantity`",
        ),
        ("proof 3d1f0c9a7b5e2468aa wrong", "proof … wrong"),
        ("", ""),
    ],
)
def test_what_is_a_messages_own_does_not_count(fault: str, general: str) -> None:
    assert generalise(fault) == general
    assert generalise(general) == general


def test_the_task_and_the_fault_make_the_group() -> None:
    one = find_fingerprint("payment.pay", "missing field `a`")
    assert one == find_fingerprint("payment.pay", "missing field `a`")
    assert (
        len(
            {
                one,
                find_fingerprint("payment.pay", "missing field `b`"),
                find_fingerprint("x", "missing field `a`"),
            }
        )
        == 3
    )
    assert len(one) == FINGERPRINT_LENGTH
