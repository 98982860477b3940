"""The admin of flows of one kind: what its pages of one and of many share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpResponse
from django.urls import URLPattern, path

from celery_config.saga.admin.permissions import FlowPermissions
from celery_config.saga.engine.flows import WatchedFlow, find_flow
from celery_config.web.admin import ReadOnlyAdmin


class FlowAdmin(FlowPermissions, ReadOnlyAdmin):
    @property
    def flow(self) -> WatchedFlow[Any, Any]:
        return find_flow(self.model)

    def name_view(self, view: str) -> str:
        return f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}"

    def make_urls(self, views: Mapping[str, tuple[str, Callable[..., HttpResponse]]]) -> list[URLPattern]:
        """Return the addresses of views.

        Args:
            views: the route and the function of each, by name.
        """
        return [
            path(route, self.admin_site.admin_view(view), name=self.name_view(name).partition(":")[2])
            for name, (route, view) in views.items()
        ]
