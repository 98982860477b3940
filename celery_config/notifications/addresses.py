"""Addresses to which people let messages be sent: each is checked when it is written, and again when it is called."""

from __future__ import annotations

import binascii

import httpx
from django.conf import settings
from django.core.exceptions import ValidationError
from standardwebhooks import Webhook

from celery_config.common.email_address import validate_email_address
from celery_config.http.public_addresses import Resolve, make_resolver, parse_networks

NO_EMAIL = "Give an address, or several with commas between them."
NO_URL = "Give an address that begins with https:// and names a host, without a user or password."
NO_SECRET = "A secret is whsec_ and at least 24 bytes in Base64."
SHORTEST_SECRET = 24


def split_emails(text: str) -> list[str]:
    """Return the addresses of a text with commas or line breaks between them."""
    return [each.strip() for each in text.replace("\n", ",").split(",") if each.strip()]


def check_emails(field: str, text: str) -> None:
    """
    Raises:
        ValidationError: there is none, or one is no address.
    """
    if not (found := split_emails(text)):
        raise ValidationError({field: NO_EMAIL})
    for each in found:
        try:
            validate_email_address(each)
        except ValidationError as error:
            raise ValidationError({field: f"{each}: {' '.join(error.messages)}"}) from error


def check_url(field: str, text: str) -> None:
    """
    Raises:
        ValidationError: nothing is sent there: it is not over TLS, has a password, or is in a network of ours.
    """
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValidationError({field: NO_URL}) from error
    # Without TLS, only within networks that the installation names.
    schemes = ("https", "http") if settings.NOTIFY_NETWORKS else ("https",)
    if url.scheme not in schemes or not url.host or url.userinfo:
        raise ValidationError({field: NO_URL})


def hide_path(url: str) -> str:
    """Return an address without what follows its host: with many receivers, that is what lets anybody send there."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return ""
    whole = f"{parts.scheme}://{parts.netloc.decode()}"
    return whole if parts.raw_path in (b"", b"/") else f"{whole}/…"


def check_secret(field: str, text: str) -> None:
    """
    Raises:
        ValidationError: it signs nothing.
    """
    try:
        short = len(binascii.a2b_base64(text.removeprefix("whsec_"))) < SHORTEST_SECRET
        Webhook(text)
    except (ValueError, RuntimeError) as error:
        raise ValidationError({field: NO_SECRET}) from error
    if short:
        raise ValidationError({field: NO_SECRET})


def make_public_resolver() -> Resolve:
    """Return what resolves the host of a webhook: public addresses, and the networks of NOTIFY_NETWORKS."""
    return make_resolver(parse_networks(settings.NOTIFY_NETWORKS))
