"""The settings of the inventory service; what all services share is in celery_config/settings/."""

from celery_config.settings import service_settings

globals().update(
    service_settings(
        "inventory",
        duties=("inventory_app.board.duties",),
        tiles=("inventory_app.board.show_stock",),
    )
)
