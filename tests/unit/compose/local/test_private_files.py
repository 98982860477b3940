"""Secrets and ports that are kept, and what is said when they cannot be."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from socket import socket

import pytest

from compose.local import ports
from compose.local.environment import Addresses
from compose.local.errors import FileBroken, FolderMissing
from compose.local.private_files import KeptValues, write_private


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "secrets.json"
    file.write_text(text)
    with pytest.raises(FileBroken, match="cannot be read as a JSON object"):
        KeptValues(file)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderMissing, match="name another one in ORDER_SAGA_VAR"):
        write_private(tmp_path / "file" / "folder" / "secrets.json", "{}")


class TestPorts:
    def test_they_stay_the_same(self, tmp_path: Path) -> None:
        first = Addresses.choose(tmp_path)
        assert Addresses.choose(tmp_path) == Addresses(first.web, first.sandbox, first.flower)

    def test_one_that_is_taken_is_said(self, tmp_path: Path) -> None:
        first = Addresses.choose(tmp_path)
        with closing(socket()) as other:
            other.bind((ports.LOOPBACK, first.sandbox))
            other.listen()
            moved = Addresses.choose(tmp_path)
        assert moved.moved == (
            f"Port {first.sandbox} is taken by another program: sandbox has {moved.sandbox}",
        )
        assert (moved.web, moved.flower) == (first.web, first.flower)
        assert Addresses.choose(tmp_path).sandbox == moved.sandbox
