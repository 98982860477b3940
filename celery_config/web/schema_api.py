"""The service's own OpenAPI document, which everyone may read."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request


class SchemaApi(SpectacularAPIView):
    """The document in YAML or JSON, which no parameter changes: strangers could fill memory with its variants."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **options: Any) -> HttpResponse:
        renderer = request.accepted_renderer
        answer = HttpResponse(render_document(renderer.media_type), content_type=renderer.media_type)
        answer["Content-Disposition"] = f'inline; filename="schema.{renderer.format}"'
        return answer


@cache
def render_document(media_type: str) -> bytes:
    """Return the document in one of its forms. It is made once, since that takes 0.1 s and more."""
    (renderer,) = (each for each in SchemaApi.renderer_classes if each.media_type == media_type)
    document = SchemaGenerator().get_schema(request=None, public=True)
    content: bytes | str = renderer().render(document, media_type, {})
    return content.encode() if isinstance(content, str) else content
