"""Secrets in files, and passwords that go into addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from celery_config.common.secret_files import SecretUnreadable, read_secret_files


def test_a_file_stands_for_a_secret_and_for_nothing_else(tmp_path: Path) -> None:
    secret, empty = tmp_path / "secret", tmp_path / "empty"
    secret.write_text("s3cret\n")
    empty.touch()
    environ = {
        "ORDER_SECRET_KEY_FILE": str(secret),
        "STRIPE_API_KEY_FILE": str(empty),
        "SSL_CERT_FILE": str(secret),
        "ORDER_SERVICE_TOKEN_FILE": "",
    }
    before = dict(environ)
    for _ in range(2):
        read_secret_files(environ)
        assert environ == before | {"ORDER_SECRET_KEY": "s3cret"}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        SecretUnreadable, match=r"ADMIN_PASSWORD_FILE: the file .*/no cannot be read \(No such file"
    ):
        read_secret_files({"ADMIN_PASSWORD_FILE": str(tmp_path / "no")})
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(SecretUnreadable, match="it is no text"):
        read_secret_files({"ADMIN_PASSWORD_FILE": str(tmp_path / "bytes")})


def test_a_password_goes_quoted_into_addresses_that_lack_one() -> None:
    environ = {
        "ORDER_DATABASE_URL": "postgres://order@db:5432/order?sslmode=require",
        "ORDER_OWNER_DATABASE_URL": "postgres://order_owner@db/order",
        "ORDER_BROKER_URL": "amqp://order@one/order-saga;amqp://order@two/order-saga",
        "ORDER_BROKER_API": "http://order@one:15672/api/",
        "PAYMENT_DATABASE_URL": "postgres://payment:own@db/payment",
        "EMAIL_URL": "smtp+tls://post@mail:587",
        "EMAIL_PASSWORD": "mails",
        "ORDER_DATABASE_PASSWORD": "a/b@c:d",
        "ORDER_OWNER_DATABASE_PASSWORD": "owners",
        "ORDER_BROKER_PASSWORD": "brokers",
        "PAYMENT_DATABASE_PASSWORD": "other",
    }
    read_secret_files(environ)
    assert {name: value for name, value in environ.items() if not name.endswith("PASSWORD")} == {
        "ORDER_DATABASE_URL": "postgres://order:a%2Fb%40c%3Ad@db:5432/order?sslmode=require",
        "ORDER_OWNER_DATABASE_URL": "postgres://order_owner:owners@db/order",
        "ORDER_BROKER_URL": "amqp://order:brokers@one/order-saga;amqp://order:brokers@two/order-saga",
        "ORDER_BROKER_API": "http://order:brokers@one:15672/api/",
        "EMAIL_URL": "smtp+tls://post:mails@mail:587",
        "PAYMENT_DATABASE_URL": "postgres://payment:own@db/payment",
    }
