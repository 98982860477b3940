from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import register

from celery_config.common.process import START_CHECKS
from celery_config.common.services import ORCHESTRATOR


class ChecksConfig(AppConfig):
    name = "celery_config.checks"

    def ready(self) -> None:
        from celery_config.checks import contracts, copies, handlers, sagas, services, subscriptions

        checks = [
            services.check_services,
            contracts.check_contracts,
            handlers.check_handlers,
            subscriptions.check_subscriptions,
            copies.check_declarations,
        ]
        if settings.SERVICE == ORCHESTRATOR:
            checks.append(sagas.check_sagas)
        for check in checks:
            register(check, *START_CHECKS)
