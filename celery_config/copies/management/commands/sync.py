"""`./manage.py SERVICE sync`"""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from celery_config.common.arguments import parse_seconds, parse_text
from celery_config.common.console import progress_bars
from celery_config.common.visible_text import escape_line
from celery_config.copies import duties, sync
from celery_config.copies.registry import Copy, copies
from celery_config.copies.source_client import open_source
from celery_config.copies.sync import SyncResult
from celery_config.http.service_client import ServiceCallError


class Command(BaseCommand):
    help = "Compare this service's copies with their sources, and repair them; exit 1 when they differ."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--check", action="store_true", help="only compare (the default)")
        what.add_argument(
            "--repair", action="store_true", help="write the rows that differ as the source has them"
        )
        what.add_argument(
            "--rebuild", action="store_true", help="refill the copy range by range, while events arrive"
        )
        parser.add_argument(
            "--copy", type=parse_text, metavar="NAME", help="only this copy (default: all copies)"
        )
        parser.add_argument(
            "--patience",
            type=parse_seconds,
            default=sync.PATIENCE_SECONDS,
            metavar="SECONDS",
            help="how long to wait for changes under way (default: %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(stderr=True)
        found = [self.sync_copy(copy, console, options) for copy in select_copies(options["copy"])]
        rows, differing = sum(each.rows for each in found), sum(each.differing for each in found)
        self.stdout.write(f"sync: {rows} rows compared, {differing} differ")
        if differing:
            sys.exit(1)

    def sync_copy(self, copy: Copy, console: Console, options: dict[str, Any]) -> SyncResult:
        """Rebuild one copy if the options say so, then compare it."""
        source = open_source(copy)
        try:
            with progress_bars(console) as bars:
                total = source.count_rows()
                mended = 0
                if options["rebuild"]:
                    bar = bars.add_task("rebuild", total=total)
                    mended = sync.rebuild(source, lambda n: bars.update(bar, completed=n)).mended
                bar = bars.add_task("repair" if options["repair"] else "check", total=total)
                found = sync.compare(
                    source,
                    mend=options["repair"],
                    patience=options["patience"],
                    progress=lambda n: bars.update(bar, completed=n),
                )
                bars.update(bar, total=found.rows, completed=found.rows)
        except ServiceCallError as error:
            raise CommandError(str(error), returncode=2) from error
        duties.save_result(copy.name, found)
        self.stdout.write(
            f"{copy.name} of {copy.service}.{copy.source}: {found.rows} rows, {mended + found.mended} mended,"
            f" {found.differing} differ, {source.client.exchanged} bytes exchanged"
        )
        if found.keys:
            more = " …" if found.differing > len(found.keys) else ""
            self.stdout.write(escape_line(f"  differing: {', '.join(found.keys)}{more}"))
        return found


def select_copies(name: str | None) -> list[Copy]:
    if not copies:
        raise CommandError(f"{settings.SERVICE} keeps no copies.")
    if name is None:
        return list(copies.values())
    if name not in copies:
        there = ", ".join(sorted(copies))
        raise CommandError(f"There is no copy {name!r:.100} here; there are {there}.", returncode=2)
    return [copies[name]]
