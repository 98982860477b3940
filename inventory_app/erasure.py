"""What inventory remembers of a person: nothing in its own tables, which know orders and no customers.

Its messages may: an event of a choreographed order passes the address on.
"""

from __future__ import annotations

from celery_config.erasure.data_map import DataMap

DATA_MAP = DataMap()
