"""Groups that are shipped: each gets each of its permissions once, so what an administrator changes stays.

A service names the permissions in its `groups.py`. A table keeps which were given. After a migration a group gets
those that were never given to it: a permission that was taken away, and a group that was deleted or renamed, do not
come back.
"""

from __future__ import annotations

from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import connections, transaction
from django.utils.module_loading import import_string

from celery_config.common.roles import Groups, Role
from celery_config.web.models import ShippedPermission

log = structlog.get_logger(__name__)


GROUP = ""
"""In place of a permission: the group itself."""


def ship_groups(app_config: Any, using: str, **options: Any) -> None:
    """Give the shipped groups what was never given to them; a receiver of `post_migrate` of the last app."""
    if ShippedPermission._meta.db_table not in connections[using].introspection.table_names():
        return  # only some apps are migrated
    # Django's own receiver may come after this one.
    create_permissions(app_config, using=using, **{**options, "verbosity": 0, "interactive": False})
    groups: Groups = import_string(settings.GROUPS)
    with transaction.atomic(using=using):
        given = set(ShippedPermission.objects.using(using).values_list("group", "permission"))
        wanted = {(role.value, name) for role in groups for name in (GROUP, *groups[role])} - given
        if wanted:
            give(wanted, {group for group, name in given if name == GROUP}, using)


def give(wanted: set[tuple[str, str]], ours: set[str], using: str) -> None:
    """Give groups permissions, with as many statements for one as for all, and note it.

    Args:
        wanted: the names of a group and of a permission; the permission `GROUP` stands for the group itself.
        ours: the groups that were made here before.
    """
    there = dict(Group.objects.using(using).filter(name__in=Role).values_list("name", "pk"))
    foreign = {*there} - ours
    for name in sorted(foreign):
        # Its members were never meant to get more.
        log.warning("a group has the name of a shipped one and stays as it is", group=name)
    for name in sorted({group for group, _ in wanted} - ours - foreign):
        there[name] = Group.objects.using(using).create(name=name).pk
    rows = Permission.objects.using(using).values_list("content_type__app_label", "codename", "pk")
    ids = {f"{app}.{codename}": pk for app, codename, pk in rows}
    # A permission that is not there yet comes with a later migration.
    done = sorted(
        (group, name) for group, name in wanted if group not in foreign and (name == GROUP or name in ids)
    )
    Through: Any = Group.permissions.through
    Through.objects.using(using).bulk_create(
        [
            Through(group_id=there[group], permission_id=ids[name])
            for group, name in done
            if name != GROUP and group in there
        ],
        ignore_conflicts=True,
    )
    ShippedPermission.objects.using(using).bulk_create(
        ShippedPermission(group=group, permission=name) for group, name in done
    )
