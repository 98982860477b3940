"""A mail server on this machine that keeps what it takes, as a process of its own."""

from __future__ import annotations

import mailbox
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.header import decode_header, make_header
from pathlib import Path

from compose.local import ports


@dataclass(frozen=True)
class Mail:
    """An e-mail that arrived."""

    to: str
    subject: str
    text: str
    name: str
    """Its Message-ID."""


@dataclass(frozen=True)
class MailServer:
    """Args:
    file: an mbox with what arrived.
    """

    port: int
    file: Path

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def read(self, words: str = "") -> list[Mail]:
        """Return the e-mails with these words in their subject, the oldest first."""
        if not self.file.exists():
            return []
        found = []
        for message in mailbox.mbox(self.file):
            subject = str(make_header(decode_header(" ".join((message["Subject"] or "").split()))))
            payload = message.get_payload(decode=True)
            text = payload.decode() if isinstance(payload, bytes) else ""
            found.append(Mail(message["To"] or "", subject, text, message["Message-ID"] or ""))
        return [mail for mail in found if words in mail.subject]


@contextmanager
def serve_mail(folder: Path) -> Iterator[MailServer]:
    """Run a mail server while the block runs."""
    server = MailServer(ports.free_port(), folder / "mails.mbox")
    program = Path(sys.executable).with_name("fakesmtpd")
    process = subprocess.Popen(
        [program, "--port", str(server.port), "--output-filename", str(server.file)],
        stderr=subprocess.DEVNULL,
    )
    try:
        yield server
    finally:
        process.terminate()
        process.wait()
