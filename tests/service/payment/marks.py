"""What SQLite, the embedded default, cannot show."""

from __future__ import annotations

import pytest
from django.db import connection

postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="set PAYMENT_DATABASE_URL")
