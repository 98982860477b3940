"""Bodies are bounded before anything reads them: bytes, encoding, depth, values, fields; of every type."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from rest_framework.test import APIClient

from celery_config.web.parsers import MAX_DEPTH, MAX_VALUES

pytestmark = pytest.mark.django_db
JSON, FORM, MULTIPART = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
)
PAGES = ["/api/orders/", "/api/token/", "/api/sagas/ended/", "/admin/login/"]


@pytest.fixture(autouse=True)
def _nobody_asked_for_a_token() -> None:
    cache.clear()


class Unread:
    """A body that nothing may read."""

    def read(self, *_: Any) -> bytes:
        raise AssertionError("it was read")

    readline = read


def told(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code")


def send(client: Any, url: str, body: str | bytes, kind: str = JSON, **headers: str) -> Any:
    return client.generic("POST", url, body, content_type=kind, **headers)


class TestEncoding:
    @pytest.mark.parametrize("url", PAGES)
    @pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "identity, gzip", "deflate"])
    def test_a_compressed_body_is_not_taken(self, peer: APIClient, url: str, coding: str) -> None:
        answer = send(peer, url, gzip.compress(b"{}"), HTTP_CONTENT_ENCODING=coding)
        if url.startswith("/api/"):
            assert told(answer) == (415, "unsupported_encoding")
            assert answer.headers["Accept-Encoding"] == "identity"
        else:
            assert answer.status_code == 400

    def test_identity_is_no_compression(self, peer: APIClient) -> None:
        assert (
            send(peer, "/api/sagas/ended/", '{"sagas": []}', HTTP_CONTENT_ENCODING="Identity").status_code
            == 200
        )

    @pytest.mark.parametrize("kind", [JSON, FORM, MULTIPART])
    @pytest.mark.parametrize("charset", ["punycode", "utf-16", "idna", "hex", "made-up"])
    def test_another_charset_is_not_taken(self, client: Client, kind: str, charset: str) -> None:
        """Punycode of the size that is allowed takes minutes to decode."""
        body = b"a" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE - 1)
        for url in ("/api/token/", "/admin/login/"):
            answer = send(client, url, body, f"{kind}; charset={charset}")
            assert answer.status_code == (415 if url.startswith("/api/") else 400)

    @pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"'])
    def test_utf_8_may_be_named(self, peer: APIClient, charset: str) -> None:
        kind = f"application/json; charset={charset}"
        assert send(peer, "/api/sagas/ended/", '{"sagas": []}', kind).status_code == 200


class TestSize:
    @pytest.mark.parametrize("kind", [JSON, FORM, MULTIPART])
    @pytest.mark.parametrize("url", PAGES)
    def test_what_is_too_long_is_refused_before_anything_reads_it(
        self, peer: APIClient, url: str, kind: str
    ) -> None:
        too_long = str(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        answer = send(peer, url, b"", kind, CONTENT_LENGTH=too_long, **{"wsgi.input": Unread()})
        assert answer.status_code == (413 if url.startswith("/api/") else 400)

    def test_a_file_in_a_form_of_a_page_counts(self, client: Client) -> None:
        """Django writes files of any size to the disk before it looks at the rest."""
        file = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + b"x" * 3_000_000
        assert send(client, "/admin/login/", file + b"\r\n--b--\r\n", MULTIPART).status_code == 400


class TestShape:
    @pytest.mark.parametrize(
        "url", ["/api/orders/", "/api/orders/batch/", "/api/token/", "/api/sagas/ended/"]
    )
    @pytest.mark.parametrize("opened", ["[", '{"a":'])
    def test_what_is_nested_too_deeply(self, peer: APIClient, url: str, opened: str) -> None:
        closed = "1" + ("]" if opened == "[" else "}") * (MAX_DEPTH + 1)
        answer = send(peer, url, opened * (MAX_DEPTH + 1) + closed)
        assert told(answer) == (400, "parse_error")
        assert answer.json()["detail"].endswith("nested too deeply")

    @pytest.mark.parametrize(
        "inside",
        [
            "[" * MAX_DEPTH + "]" * MAX_DEPTH,
            json.dumps("[" * 100_000),
            json.dumps('\\"[{' * 100),
            "[" + "[],[]," * 500 + "1]",
        ],
    )
    def test_what_is_deep_enough_or_only_looks_deep(self, peer: APIClient, inside: str) -> None:
        assert told(send(peer, "/api/sagas/pauses/", inside)) == (400, "invalid")

    @pytest.mark.parametrize("value", ["1", "[]", "{}"])
    def test_too_many_values(self, peer: APIClient, value: str) -> None:
        answer = send(peer, "/api/orders/batch/", f'{{"orders": [{",".join([value] * (MAX_VALUES + 1))}]}}')
        assert told(answer) == (400, "parse_error")
        assert answer.json()["detail"].endswith(f"more than {MAX_VALUES} values")

    def test_too_many_fields_of_one_object(self, peer: APIClient) -> None:
        answer = send(peer, "/api/orders/", json.dumps({f"f{n}": n for n in range(1001)}))
        assert told(answer) == (400, "parse_error")
        assert answer.json()["detail"].endswith("more than 1000 fields in one object")

    @pytest.mark.parametrize("url", ["/api/token/", "/admin/login/"])
    def test_too_many_fields_of_a_form(self, client: Client, url: str) -> None:
        form = urlencode([("f", n) for n in range(1001)])
        answer = send(client, url, form, FORM)
        assert answer.status_code == 400
        if url.startswith("/api/"):
            assert told(answer) == (400, "bad_request")
