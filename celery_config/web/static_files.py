"""Static files as they are served: with their hash in the name, and compressed."""

from __future__ import annotations

from typing import Any

from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFilesStorage(CompressedManifestStaticFilesStorage):
    """WhiteNoise's storage without Brotli: it would take a minute at each first start, and saves a tenth."""

    def create_compressor(self, **options: Any) -> Compressor:
        return Compressor(**options | {"use_brotli": False})
