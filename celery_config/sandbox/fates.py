"""Fates: what shall happen to an order on its way, and what the order says for it to happen. Pure.

The one table for `demo`, the commands and the order desk. A fate changes nothing but the order: its card, its address
or its lines. The sandbox does the rest, so that the same order, sent with any client, has the same fate.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from celery_config.sandbox.goods import SOLD_OUT
from celery_config.sandbox.words import CANCEL_FAILS, DISPATCH_FAILS, UNREACHABLE_COUNTRY, Token
from celery_config.sandbox.words import UNHURRIED as UNHURRIED_PARCEL

MORE_THAN_ALL = 100_000
"""The largest quantity of a line."""


class End(StrEnum):
    """How an order with a fate ends."""

    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    PARKED = "parked"


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What shall happen to an order.

    Args:
        label: in words.
        code: why it is cancelled.
        token: its card; with the one that is approved it keeps its own.
        address: parts of its address that are put in the place of those given.
        sold_out: whether it asks for more than there is.
        share: how many of a hundred orders of `demo` have it.
    """

    name: str
    label: str
    end: End = End.CONFIRMED
    code: str = ""
    token: Token = Token.APPROVED
    address: Mapping[str, str] = field(default_factory=dict)
    sold_out: bool = False
    share: int = 0

    def give_to(self, order: Mapping[str, Any], known: Collection[str] = (SOLD_OUT.sku,)) -> dict[str, Any]:
        """Return the order, as POST /api/orders/ takes it, with this fate.

        Args:
            known: the products that can be ordered in its currency.
        """
        lines = [dict(line) for line in order["lines"]]
        if self.sold_out and SOLD_OUT.sku in known:
            lines = [line for line in lines if line["sku"] != SOLD_OUT.sku]
            lines.append({"sku": SOLD_OUT.sku, "quantity": 2 * SOLD_OUT.stock})
        elif self.sold_out:
            lines[-1]["quantity"] = MORE_THAN_ALL
        card = order.get("payment_token", Token.APPROVED.value)
        token = card if self.token is Token.APPROVED else self.token.value
        address = {**order["address"], **self.address}
        return {**order, "lines": lines, "payment_token": token, "address": address}


FINE = Fate(name="fine", label="All goes well")
UNHURRIED = Fate(
    name="unhurried",
    label="All goes well, slowly enough to watch it and to cancel it",
    token=Token.UNHURRIED,
    address={"line2": UNHURRIED_PARCEL},
)
_ALL = (
    FINE,
    UNHURRIED,
    Fate(
        name="declined", label="The card is declined", share=8,
        end=End.CANCELLED, code="card_declined", token=Token.DECLINED,
    ),
    Fate(
        name="poor", label="The card has no funds", share=4,
        end=End.CANCELLED, code="insufficient_funds", token=Token.POOR,
    ),
    Fate(
        name="sold-out", label="A product is sold out", share=8,
        end=End.CANCELLED, code="out_of_stock", sold_out=True,
    ),
    Fate(
        name="unreachable", label="The carrier refuses the address", share=8,
        end=End.CANCELLED, code="address_unreachable",
        address={"country": UNREACHABLE_COUNTRY, "city": "Rothera"},
    ),
    Fate(
        name="capture-refused", label="The bank releases the money before it is taken",
        end=End.CANCELLED, code="authorization_expired", token=Token.CAPTURE_REFUSED,
    ),
    Fate(name="slow", label="The payment provider is slow", token=Token.SLOW),
    Fate(name="late", label="The provider answers too late, once", share=3, token=Token.LATE),
    Fate(
        name="never", label="The provider never answers in time", share=4,
        end=End.CANCELLED, code="unknown_outcome", token=Token.ALWAYS_LATE,
    ),
    Fate(
        name="error", label="The provider holds the money and answers with an error", share=3,
        token=Token.ERROR_AFTER_CHARGING,
    ),
    Fate(
        name="contradicted", label="A webhook of the provider tells another amount",
        token=Token.WEBHOOK_DIFFERS,
    ),
    Fate(
        name="void-fails", label="The carrier refuses, and the money cannot be released",
        end=End.PARKED, code="address_unreachable", token=Token.VOID_FAILS,
        address={"country": UNREACHABLE_COUNTRY, "city": "Rothera"},
    ),
    Fate(
        name="cancel-fails", label="The bank refuses, and the parcel cannot be cancelled",
        end=End.PARKED, code="authorization_expired", token=Token.CAPTURE_REFUSED,
        address={"line2": CANCEL_FAILS},
    ),
    Fate(
        name="dispatch-fails", label="The money is taken, and the parcel cannot leave",
        end=End.PARKED, address={"line2": DISPATCH_FAILS},
    ),
)  # fmt: skip
FATES: Mapping[str, Fate] = {fate.name: fate for fate in _ALL}
