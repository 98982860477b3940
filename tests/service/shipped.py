"""The shipped groups, for tests: those that commit empty the tables in which `migrate` made them."""

from __future__ import annotations

from django.apps import apps
from django.contrib.auth.models import Group
from django.db.models import QuerySet

from celery_config.common.roles import Role
from celery_config.web.groups import ship_groups


def ship() -> None:
    """Ship them as after a migration."""
    *_, last = apps.get_app_configs()
    ship_groups(last, "default")


def read_made() -> QuerySet[Group]:
    """The groups that a test has made, without the shipped ones: rows of a table that every service has."""
    return Group.objects.exclude(name__in=Role)
