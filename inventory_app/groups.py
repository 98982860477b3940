"""What each shipped group may see and do in this service."""

from __future__ import annotations

from celery_config.common.roles import MENDS_MESSAGES, SEES_MESSAGES, Groups, Role

SEES_STOCK = ("inventory.view_product", "inventory.view_stock", "inventory.view_payablecurrency")
SEES = (*SEES_MESSAGES, *SEES_STOCK, "inventory.view_movement", "inventory.view_reservation")

GROUPS: Groups = {
    Role.READER: SEES,
    Role.SUPPORT: (*SEES_STOCK, "inventory.view_reservation"),
    Role.OPERATOR: (*SEES, *MENDS_MESSAGES),
    Role.CATALOGUE: (
        *SEES_STOCK, "inventory.view_movement", "inventory.view_reservation", "api.view_changerecord",
        "inventory.add_product", "inventory.change_product", "inventory.change_stock",
    ),
    Role.FINANCE: (*SEES_STOCK, "inventory.view_movement"),
}  # fmt: skip
