"""Whether faults may be made on purpose: with the sandbox alone, and never in production."""

from __future__ import annotations

from django.conf import settings


class FaultsRefused(Exception):
    """No fault is made here; the text says why."""


def explain_no_faults() -> str:
    """Return why no fault may be made here; empty if it may."""
    if settings.ENVIRONMENT == "production":
        return "this is production, where nothing is broken on purpose"
    others = [name for name in ("PAYMENT_GATEWAY", "CARRIER") if getattr(settings, name) != "sandbox"]
    return f"{' and '.join(others)} name another than the sandbox" if others else ""


def require_sandbox() -> None:
    """
    Raises:
        FaultsRefused: no fault may be made here.
    """
    if why := explain_no_faults():
        raise FaultsRefused(why)
