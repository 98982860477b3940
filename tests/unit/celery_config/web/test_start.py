"""What every process of a service loads: a package that the web alone needs costs the others memory and time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import manage

FOR_THE_WEB_ALONE = {"authlib", "joserfc"}


def test_packages_of_the_sign_on_are_loaded_by_the_web_alone(tmp_path: Path) -> None:
    code = "import sys; print(*sorted({each.partition('.')[0] for each in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "manage.py", "order", "shell", "--no-imports", "-c", code],
        cwd=Path(manage.__file__).parent,
        env={**os.environ, "ORDER_SAGA_VAR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {*done.stdout.split()}
    assert "unfold" in loaded
    assert loaded & FOR_THE_WEB_ALONE == set()
