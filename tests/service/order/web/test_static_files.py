"""Static files are compressed so that the first start of a stack does not wait for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.management import call_command
from django.test import Client

MAP = b'{"version": 3, "mappings": "' + b"A" * 10_000 + b'"}'


@pytest.fixture
def collected(tmp_path: Path, settings: Any) -> Path:
    source, folder = tmp_path / "source", tmp_path / "collected"
    source.mkdir()
    (source / "page.css").write_bytes(b"a { color: red }\n" * 1000)
    (source / "page.js.map").write_bytes(MAP)
    settings.STATICFILES_DIRS = [source]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATIC_ROOT = folder
    backend = {"BACKEND": "celery_config.web.static_files.StaticFilesStorage"}
    settings.STORAGES = {"staticfiles": backend}
    call_command("collectstatic", "--no-input", verbosity=0)
    return folder


def test_a_file_is_there_once_and_compressed_by_the_cheap_method_alone(collected: Path) -> None:
    names = sorted(path.name for path in collected.iterdir())
    css, compressed, script_map, manifest = names
    assert compressed == f"{css}.gz"
    assert css.startswith("page.")
    assert css != "page.css"
    assert script_map.endswith(".map")
    assert manifest == "staticfiles.json"


@pytest.mark.usefixtures("collected")
def test_a_browser_keeps_a_file_for_ten_years_without_asking(client: Client, settings: Any) -> None:
    settings.WHITENOISE_USE_FINDERS = False
    answer = client.get(staticfiles_storage.url("page.css"))
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "max-age=315360000, public, immutable"
