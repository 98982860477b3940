"""The command line in a process of its own, with hardly any environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from compose.local.environment import ROOT

BARE = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


def manage(var: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `./manage.py` with these arguments in the folder of generated files `var`."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env={**BARE, "ORDER_SAGA_VAR": str(var), **environ},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
