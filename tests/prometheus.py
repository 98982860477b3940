"""promtool, for the tests of the alerts."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

from compose.local.packages import find_or_install_packages

MISSING = "The tests of the alerts need promtool (Debian, Ubuntu: sudo apt-get install prometheus)."


def find_or_install_promtool(console: Console | None = None) -> Path:
    """Return Prometheus's promtool; when there is none and we are root, install Debian's package first.

    Raises:
        PackagesMissing: there is none, and it cannot be installed from here.
    """
    found = find_or_install_packages(lambda: shutil.which("promtool"), ("prometheus",), MISSING, console)
    return Path(found)
