"""The data map of inventory: its own tables hold no personal data.

Its messages may hold some: an event of a choreographed order passes the address on.
"""

from __future__ import annotations

from celery_config.erasure.data_map import DataMap

DATA_MAP = DataMap()
