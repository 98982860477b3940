"""A contradiction is told in sentences, with amounts of money, and with what to do about it."""

from __future__ import annotations

import pytest

from celery_config.messaging.contradictions import advise, describe_reason

SAGA = "00000000-0000-0000-0000-000000000007"


@pytest.mark.parametrize(
    ("reason", "sentences"),
    [
        ("amount: asked 1999, reported 1", ["The amount: we asked for £19.99, it says £0.01."]),
        (
            "captured_amount: asked None, reported 5; order: asked a, reported b",
            [
                "The captured amount: we asked for None, it says £0.05.",
                "The order: we asked for a, it says b.",
            ],
        ),
        (
            f"book-shipment of saga {SAGA} is tombstone here",
            [f"What we know of “book shipment” of the saga {SAGA}: never ran, and never will."],
        ),
        (
            "the key is that of payment.void_payment",
            ["We made the call with this key for something else: payment.void_payment."],
        ),
        ("no call of ours has this key", ["No call of ours has this key."]),
    ],
)
def test_it_is_told_in_sentences(reason: str, sentences: list[str]) -> None:
    assert describe_reason(reason, {"amount": 1, "currency": "GBP"}) == sentences


def test_an_amount_without_a_currency_stays_as_it_is() -> None:
    assert describe_reason("amount: asked 1, reported 2", None) == ["The amount: we asked for 1, it says 2."]


def test_the_advice_names_the_service_and_the_other_side() -> None:
    advice = advise("payment", "the payment provider")
    assert "./manage.py payment reconcile" in advice
    assert "If the payment provider is right" in advice
