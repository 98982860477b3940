"""A side that is a peer: its environment has psycopg, but no Django."""

from __future__ import annotations

import os
from typing import Any

import psycopg

from tests.bench.three.side import ThreeStepsSide


class PeerSide(ThreeStepsSide):
    def __init__(self) -> None:
        self._watching = psycopg.connect(os.environ["ORDER_DATABASE_URL"], autocommit=True)
        super().__init__()

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        cursor = self._watching.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []
