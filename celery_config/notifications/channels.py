"""The two ways in which a message is sent: e-mail, and a signed webhook (Standard Webhooks). Each has a time limit."""

from __future__ import annotations

import functools
import json
import os
import smtplib
from datetime import UTC, datetime
from email.charset import QP, Charset
from email.headerregistry import Address
from typing import Any

import httpx
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from standardwebhooks import Webhook

from celery_config.common.visible_text import is_visible
from celery_config.http.client import Deadline, DeadlineTransport
from celery_config.notifications.addresses import make_public_resolver, split_emails
from celery_config.notifications.texts import Notice, make_body, write_subject, write_text

SECONDS = 10.0
# Lines of any length, and no server has to take eight bits.
PLAIN = Charset("utf-8")
PLAIN.body_encoding = QP
MOST_READ = 2000
"""So many bytes of an answer are read, and kept as what went wrong."""
deadline = Deadline()


class SendFailed(Exception):
    """The message was not accepted; the text says why.

    Args:
        final: whether another try is no use.
    """

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


def send_email(to: str, notice: Notice, name: str) -> None:
    """Send an e-mail to all addresses in `to`.

    Args:
        name: the same for each try of one message, so that a reader's program shows it once.

    Raises:
        SendFailed: the mail server did not take it, or none is set.
    """
    if not settings.EMAIL_HOST_IS_SET:
        raise SendFailed("no mail server is set: EMAIL_URL names one")
    message = EmailMessage(
        subject=write_subject(notice),
        body=write_text(notice),
        to=split_emails(to),
        headers={
            "Message-ID": f"<{name}@{find_domain()}>",
            # No out-of-office answers (RFC 3834).
            "Auto-Submitted": "auto-generated",
        },
        connection=get_connection(timeout=SECONDS),
    )
    message.encoding = PLAIN
    try:
        message.send()
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise SendFailed(f"{type(error).__name__}: {error}") from error


def find_domain() -> str:
    """Return the domain of the sender's address."""
    return (
        Address(addr_spec=settings.DEFAULT_FROM_EMAIL.rpartition("<")[2].rstrip("> ")).domain or "localhost"
    )


def send_webhook(url: str, secret: str, notice: Notice, name: str) -> None:
    """Send a webhook and wait for its answer, which must be a 2xx. No redirect is followed.

    Args:
        name: the same for each try of one message (`webhook-id`), so that the receiver can tell a repeat.

    Raises:
        SendFailed: another answer, none in time, or the address is not public.
    """
    body = json.dumps(make_body(notice), ensure_ascii=False)
    now = datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "order-saga",
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(name, now, body),
    }
    try:
        with (
            deadline.hold(SECONDS),
            http_client(os.getpid(), tuple(settings.NOTIFY_NETWORKS)).stream(
                "POST", url, content=body.encode(), headers=headers
            ) as answer,
        ):
            if answer.is_success:
                return
            told = read_beginning(answer)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SendFailed(f"{type(error).__name__}: {error}") from error
    # By Standard Webhooks, 410 says that no more is wanted.
    gone = answer.status_code == httpx.codes.GONE
    raise SendFailed(f"answered {answer.status_code}{f': {told}' if is_visible(told) else ''}", final=gone)


def read_beginning(answer: httpx.Response) -> str:
    """Return the beginning of an answer's body; the rest stays unread."""
    found = b""
    for piece in answer.iter_raw():
        found += piece
        if len(found) >= MOST_READ:
            break
    return " ".join(found[:MOST_READ].decode("utf-8", "replace").split())


@functools.cache
def http_client(process: int, networks: tuple[str, ...]) -> httpx.Client:
    """The client of all webhooks of a process; a fork needs its own."""
    transport: Any = DeadlineTransport(deadline, make_public_resolver())
    return httpx.Client(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(SECONDS, connect=SECONDS / 2),
    )
