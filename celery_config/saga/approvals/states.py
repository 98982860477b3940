"""The states of a request for an approval. Pure."""

from __future__ import annotations

from django.db.models import TextChoices


class RequestState(TextChoices):
    """Where a request stands."""

    OPEN = "open"  # another person decides
    APPROVED = "approved"  # it is done
    DECLINED = "declined"  # by another person, or taken back by the one who asked
    EXPIRED = "expired"  # no person decided in time
