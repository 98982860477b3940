"""Fragments that renew themselves: an unchanged one is not sent again, and what has ended asks no more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import RequestFactory

from celery_config.web import live
from celery_config.web.columns import format_ago
from celery_config.web.templatetags.live import live as write_attributes

AT = datetime(2026, 11, 30, 6, 5, 4, tzinfo=UTC)


@pytest.fixture(autouse=True)
def template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "render_to_string", lambda name, context, request: f"{name}: {context['text']}")


def ask(text: str, **headers: str) -> Any:
    request = RequestFactory().get("/", headers=headers)
    return live.answer_fragment(request, "part.html", {"text": text})


class TestAnAnswer:
    def test_is_sent_once_while_nothing_changes(self) -> None:
        first = ask("all well")
        assert first.content == b"part.html: all well"
        again = ask("all well", if_none_match=first["ETag"])
        assert (again.status_code, again.content) == (304, b"")
        changed = ask("one waits", if_none_match=first["ETag"])
        assert (changed.status_code, changed.content) == (200, b"part.html: one waits")

    def test_is_known_behind_a_compression_that_weakens_its_tag(self) -> None:
        assert ask("all well", if_none_match=f"W/{ask('all well')['ETag']}").status_code == 304

    def test_is_kept_by_the_browser_alone_and_asked_for_each_time(self) -> None:
        assert {part.strip() for part in ask("all well")["Cache-Control"].split(",")} == {
            "private",
            "no-cache",
        }


class TestTheAttributes:
    def test_ask_again_only_while_there_is_an_address(self) -> None:
        assert 'hx-get="/a?b=1&amp;c=2"' in write_attributes("/a?b=1&c=2")
        assert "every 2s [isLive()]" in write_attributes("/a")
        assert write_attributes("") == ""


class TestATime:
    def test_has_the_time_itself_for_the_script_and_without_one(self) -> None:
        assert format_ago(AT) == (
            '<time class="ago" datetime="2026-11-30T06:05:04+00:00" title="30 Nov 2026, 06:05:04 UTC">'
            "30 Nov 2026, 06:05:04 UTC</time>"
        )
        assert format_ago(None) == "-"
