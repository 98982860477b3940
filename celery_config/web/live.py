"""Fragments of pages that renew themselves: htmx asks for each one every two seconds while its tab is visible.

The script `order_saga/live.js` does the browser's part. A fragment holds no form and nothing that changes without its
facts: a time is written out, and the script says how long ago it is. So an unchanged fragment keeps its ETag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.cache import get_conditional_response, patch_cache_control

POLL_SECONDS = 2
"""How often a fragment is asked for."""


def answer_fragment(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """Return the rendered fragment with its ETag, or 304 if the browser has this one."""
    text = render_to_string(template, {**context}, request)
    etag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    whole = HttpResponse(text, headers={"ETag": etag})
    answer: HttpResponse = get_conditional_response(request, etag=etag, response=whole) or whole
    patch_cache_control(answer, private=True, no_cache=True)
    return answer
