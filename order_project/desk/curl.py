"""An order as a request of curl, which does the same as the desk."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.urls import reverse


def write_curl(request: HttpRequest, order: Mapping[str, Any]) -> str:
    """Return the command; the token of its user is left to be put in."""
    body = json.dumps(order, ensure_ascii=False)
    return " \\\n  ".join(
        [
            f"curl {shlex.quote(request.build_absolute_uri(reverse('orders')))}",
            '-H "Authorization: Token $TOKEN"',
            '-H "Content-Type: application/json"',
            f"-d {shlex.quote(body)}",
        ]
    )
