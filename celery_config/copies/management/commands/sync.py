"""`./manage.py SERVICE sync`"""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from celery_config.common.console import progress_bars
from celery_config.copies import duties, sync
from celery_config.copies.registry import Copy, copies
from celery_config.copies.source_client import open_source
from celery_config.copies.sync import SyncResult
from celery_config.http.service_client import ServiceCallError


class Command(BaseCommand):
    help = "Compare the copies kept here with their sources, and mend them; exit 1 when they differ."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--check", action="store_true", help="only compare (the default)")
        what.add_argument(
            "--repair", action="store_true", help="write the rows that differ as the source has them"
        )
        what.add_argument(
            "--rebuild", action="store_true", help="refill it range by range, while events flow"
        )
        parser.add_argument("--copy", metavar="NAME", help="only this one (default: all that are kept here)")
        parser.add_argument(
            "--patience",
            type=float,
            default=sync.PATIENCE_SECONDS,
            metavar="SECONDS",
            help="how long changes that are under way may take (default: %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(stderr=True)
        found = [self.one(copy, console, options) for copy in wanted(options["copy"])]
        rows, differing = (sum(getattr(each, name) for each in found) for name in ("rows", "differing"))
        self.stdout.write(f"sync: {rows} rows compared, {differing} differ")
        if differing:
            sys.exit(1)

    def one(self, copy: Copy, console: Console, options: dict[str, Any]) -> SyncResult:
        """Compare one copy, after mending it if that was asked for."""
        try:
            with open_source(copy) as source, progress_bars(console) as bars:
                total = source.count()
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
            f" {found.differing} differ, {source.peer.exchanged} bytes exchanged"
        )
        if found.keys:
            self.stdout.write(
                f"  differing: {', '.join(found.keys)}{' …' if found.differing > len(found.keys) else ''}"
            )
        return found


def wanted(name: str | None) -> list[Copy]:
    if not copies:
        raise CommandError(f"{settings.SERVICE} keeps no copies.")
    if name is None:
        return list(copies.values())
    if name not in copies:
        raise CommandError(f"There is no copy {name!r} here; there are {', '.join(sorted(copies))}.")
    return [copies[name]]
