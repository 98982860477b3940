"""`python -m tests.durations`: write down how long each test file took in the last whole run of `./manage.py test`."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from compose.local.environment import ROOT
from tests.drawing import DURATIONS, read_durations
from tests.run import SHARES, log_folder


def sum_up(reports: Iterable[Path]) -> dict[str, float]:
    """Return the seconds of each file in these reports of pytest, set-up included."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            if file := find_file(case.get("classname", "")):
                seconds[file] += float(case.get("time", 0))
    return {file: round(taken, 1) for file, taken in sorted(seconds.items())}


def find_file(name: str) -> str:
    """Return the file of a class of tests, by its dotted name; empty: none."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        file = Path(*parts[:count]).with_suffix(".py")
        if (ROOT / file).is_file():
            return file.as_posix()
    return ""


def main() -> int:
    reports = [log_folder() / f"{suite}.xml" for suite in SHARES]
    found = sum_up([report for report in reports if report.exists()])
    known = {file: taken for file, taken in read_durations().items() if (ROOT / file).is_file()}
    DURATIONS.write_text(json.dumps(dict(sorted((known | found).items())), indent=1) + "\n")
    print(f"{len(found)} files, {sum(found.values()):.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
