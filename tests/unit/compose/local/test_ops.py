"""`./manage.py ops` against a server that is not ours: what it answers is data, for the terminal, too."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from celery_config.http import client
from compose.local import ops, ops_client

HOSTILE = "a\x1b[2J\x9b2J\u202eb\x7f"
DOCUMENT = {
    "paths": {
        "/api/things/": {
            "get": {
                "description": HOSTILE,
                "parameters": [
                    {"name": "kind", "in": "query", "description": HOSTILE},
                    {"name": HOSTILE, "in": "query"},
                ],
            }
        },
        f"/api/{HOSTILE}/": {"get": {}},
    },
    "components": {},
}


LIST = {
    "paths": {
        "/api/things/": {
            "get": {"parameters": [{"name": each, "in": "query"} for each in ("limit", "cursor")]}
        }
    },
    "components": {},
}


class Server:
    """Answers every call with one document, and the calls after it with another."""

    def __init__(self) -> None:
        self.document: Any = DOCUMENT
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, b"{}")
        self.asked: list[tuple[str, str | None]] = []
        self.pages: list[Any] = []
        """Answered one by one, and the last one without end."""
        self.drops = 0
        """Headers that are sent one by one, ten a second."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append((self.path, self.headers["Authorization"]))
            code, headers, body = told.answer
            if self.path == "/api/schema/":
                code, headers, body = 200, {}, json.dumps(told.document).encode()
            elif told.pages:
                page = told.pages.pop(0) if len(told.pages) > 1 else told.pages[0]
                body = json.dumps(page(len(told.asked)) if callable(page) else page).encode()
            self.send_response(code)
            for number in range(told.drops if self.path != "/api/schema/" else 0):
                self.send_header("x-drop", str(number))
                self.flush_headers()
                time.sleep(0.1)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPS_URL", f"http://127.0.0.1:{http.server_port}")
        monkeypatch.setenv("OPS_TOKEN", "secret")
        yield told
        http.shutdown()


def run(*words: str) -> int:
    try:
        return ops.main([*words])
    except SystemExit as left:  # argparse
        return int(left.code or 0)


@pytest.mark.parametrize("words", [(), ("things",), ("things", "--help"), ("nothing",)])
def test_no_word_of_it_steers_the_terminal(
    server: Server, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    server.answer = (200, {}, json.dumps({"name": HOSTILE}).encode())
    run(*words)
    out, errors = capsys.readouterr()
    assert not {"\x1b", "\x9b", "\u202e", "\x7f"} & {*out, *errors}
    if words == ("things",):
        assert json.loads(out) == {"name": HOSTILE}


def test_an_error_does_not_either(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.answer = (409, {}, json.dumps({"detail": HOSTILE}).encode())
    assert run("things") == 1
    errors = capsys.readouterr().err
    assert "\x9b" not in errors
    assert json.loads(errors) == {"detail": HOSTILE}


def test_the_token_follows_no_redirect(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.answer = (302, {"Location": "/elsewhere/"}, b"")
    assert run("things") == 1
    assert server.asked == [("/api/schema/", "Token secret"), ("/api/things/", "Token secret")]
    assert "secret" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("document", [[], {}, {"paths": []}, {"paths": {"/api/x/": {"get": []}}}, "x", None])
def test_what_is_no_document_is_a_problem(
    server: Server, capsys: pytest.CaptureFixture[str], document: Any
) -> None:
    server.document = document
    assert run("things") == 1
    assert json.loads(capsys.readouterr().err)["title"] == "No document"


@pytest.mark.parametrize("body", [b"[" * 100_000, b"\xff", b"{"])
def test_an_answer_that_is_no_json_is_shown(
    server: Server, capsys: pytest.CaptureFixture[str], body: bytes
) -> None:
    server.answer = (200, {}, body)
    assert run("things") == 0
    assert json.loads(capsys.readouterr().out)["status"] == 200


def make_page(cursor: Any, number: int = 1) -> dict[str, Any]:
    return {"results": [number], "next": f"https://elsewhere.example/?cursor={cursor}" if cursor else None}


@pytest.fixture
def things(server: Server) -> Server:
    """A list of pages."""
    server.document = LIST
    return server


def read_things(capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], str]:
    code = run("things", "list", "--all")
    told = capsys.readouterr()
    return code, told.out.split(), told.err


def test_all_pages_are_read_from_the_given_address(
    things: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    things.pages = [make_page("a", 1), make_page("b", 2), make_page("", 3)]
    assert read_things(capsys) == (0, ["1", "2", "3"], "")
    assert [path for path, _ in things.asked[1:]] == [
        "/api/things/",
        "/api/things/?cursor=a",
        "/api/things/?cursor=b",
    ]


def test_pages_that_go_round_end(things: Server, capsys: pytest.CaptureFixture[str]) -> None:
    things.pages = [make_page("a"), make_page("b"), make_page("a"), make_page("b")]
    code, rows, errors = read_things(capsys)
    assert (code, len(rows)) == (1, 3)
    assert "leads back to a page that was read" in json.loads(errors)["detail"]


def test_pages_without_end_end(
    things: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops_client, "MOST_PAGES", 5)
    things.pages = [lambda number: make_page(number)]
    code, rows, errors = read_things(capsys)
    assert (code, len(rows)) == (1, 5)
    assert json.loads(errors)["detail"].startswith("there are more than 5 pages")


@pytest.mark.parametrize(
    "page",
    [
        [],
        {"results": []},
        {"results": 7, "next": None},
        {"results": [], "next": 7},
        {"results": [], "next": "?x=1"},
    ],
)
def test_what_is_no_page_is_a_problem(things: Server, capsys: pytest.CaptureFixture[str], page: Any) -> None:
    things.pages = [page]
    code, _, errors = read_things(capsys)
    assert (code, json.loads(errors)["title"]) == (1, "The list has no end")


def test_an_answer_that_is_too_large_is_not_read(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "LARGEST_ANSWER", 100_000)
    server.answer = (200, {}, b" " * 1_000_000)
    assert run("things") == 1
    assert "more than 100000 bytes" in json.loads(capsys.readouterr().err)["detail"]


def test_a_packed_answer_is_not_unpacked(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """A kilobyte that is packed twice may be a gigabyte."""
    packed = gzip.compress(gzip.compress(b" " * 10_000_000))
    server.answer = (200, {"Content-Encoding": "gzip, gzip"}, packed)
    assert run("things") == 1
    assert "the answer is packed" in json.loads(capsys.readouterr().err)["detail"]


def test_a_head_that_comes_in_drops_ends(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops_client, "SECONDS", 0.3)
    server.drops = 20
    begun = time.monotonic()
    assert run("things") == 1
    assert time.monotonic() - begun < 5
    assert json.loads(capsys.readouterr().err)["title"] == "No answer"
