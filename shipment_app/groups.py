"""What each shipped group may see and do in this service."""

from __future__ import annotations

from celery_config.common.roles import MENDS_MESSAGES, SEES_MESSAGES, Groups, Role

SEES = (*SEES_MESSAGES, "shipment.view_shipment", "shipment.view_deliveryaddress")

GROUPS: Groups = {
    Role.READER: SEES,
    Role.SUPPORT: ("shipment.view_shipment",),
    Role.OPERATOR: (*SEES, *MENDS_MESSAGES),
    Role.CATALOGUE: (),
    Role.FINANCE: ("shipment.view_shipment",),
}
