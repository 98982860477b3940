"""Chromium, for the tests of the pages."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

from compose.local.packages import find_or_install_packages

MISSING = "The tests of the pages need Chromium (Debian, Ubuntu: sudo apt-get install chromium)."


def find_or_install_browser(console: Console | None = None) -> Path:
    """Return a Chromium; when there is none and we are root, install Debian's first.

    Raises:
        PackagesMissing: there is none, and it cannot be installed from here.
    """
    found = find_or_install_packages(lambda: shutil.which("chromium"), ("chromium",), MISSING, console)
    return Path(found)
