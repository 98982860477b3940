"""Failpoints are armed here, for the processes of a stack that reads the folder."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

from celery_config.failpoints.arming import Failpoint, make_folders


def arm(folder: Path, failpoint: Failpoint) -> str:
    """Arm a failpoint for the next process that reaches it; return its name in `fired`."""
    make_folders(folder)
    name = f"{uuid4()}.json"
    draft = folder / name
    draft.write_text(json.dumps(asdict(failpoint)))
    draft.rename(folder / "armed" / name)
    return name


def disarm(folder: Path) -> None:
    """Remove what has not fired."""
    for path in (folder / "armed").glob("*.json"):
        path.unlink(missing_ok=True)
