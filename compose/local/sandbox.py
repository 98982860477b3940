"""`./manage.py sandbox break|mend|show`: provider or carrier of the running system fails, until it is mended."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping

import httpx
from rich.console import Console
from rich.table import Table

from celery_config.common.arguments import parse_count, parse_seconds
from compose.local import running
from compose.local.environment import var_folder
from compose.local.errors import LocalError
from compose.local.output import print_error

SIDES = ("provider", "carrier")
WAYS: Mapping[str, str] = {
    "error": "error_500", "error-after": "error_after", "slow": "delay", "late": "timeout", "silent": "hang",
    "dropped": "drop",
}  # fmt: skip
ALWAYS = 1_000_000
ANSWER_SECONDS = 10.0


class SandboxAway(LocalError):
    """There is no sandbox to break, or it does not answer."""


def main(argv: list[str]) -> int:
    options, console = parse(argv), Console(highlight=False)
    try:
        with httpx.Client(base_url=find_sandbox(), timeout=ANSWER_SECONDS, trust_env=False) as sandbox:
            if options.act == "break":
                break_side(sandbox, options)
            elif options.act == "mend":
                for path in (f"/{options.side}", f"/webhooks/{options.side}") if options.side else ("",):
                    sandbox.delete("/control/faults", params={"path": path}).raise_for_status()
            faults = sandbox.get("/control/stats").raise_for_status().json()["faults"]
    except (LocalError, httpx.HTTPError) as error:
        print_error(error if isinstance(error, LocalError) else f"The sandbox does not answer: {error!r}")
        return 1
    if faults:
        table = Table("path", "fault", "seconds", "calls left", title="What fails")
        for each in faults:
            left = "all" if each["count"] > ALWAYS // 2 else str(each["count"])
            table.add_row(each["path"], each["kind"], f"{each['seconds']:g}", left)
        console.print(table)
    print(f"sandbox: {len(faults)} faults planned")
    return 0


def break_side(sandbox: httpx.Client, options: argparse.Namespace) -> None:
    plan = {"path": f"/{options.side}", "kind": WAYS[options.how], "count": options.count}
    if options.seconds is not None:
        plan["seconds"] = options.seconds
    sandbox.post("/control/faults", json=plan).raise_for_status()


def find_sandbox() -> str:
    """Return the address of the sandbox of the system that runs.

    Raises:
        LocalError: none runs, or it is in production.
    """
    environment = dict(os.environ)
    if not environment.get("SANDBOX_URL"):
        found = running.find_running(var_folder())
        if not found:
            raise SandboxAway(f"Nothing is running in {var_folder()}: start it with `make up`.")
        environment |= found[0].environment
    if environment.get("ENVIRONMENT") == "production":
        raise SandboxAway("This is production, where nothing is broken on purpose.")
    return environment["SANDBOX_URL"]


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./manage.py sandbox", description=__doc__)
    acts = parser.add_subparsers(dest="act", required=True)
    breaking = acts.add_parser("break", help="let calls fail")
    breaking.add_argument("side", choices=SIDES)
    breaking.add_argument("--how", choices=[*WAYS], default="error")
    breaking.add_argument(
        "--count", type=parse_count, default=ALWAYS, help="of calls; default: until it is mended"
    )
    breaking.add_argument("--seconds", type=parse_seconds, help="of slow, late and silent")
    mending = acts.add_parser("mend", help="remove the faults, those of single orders too")
    mending.add_argument("side", nargs="?", choices=SIDES, help="default: both")
    acts.add_parser("show", help="list the faults")
    return parser.parse_args(argv)
