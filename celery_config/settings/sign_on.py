"""Settings of sign-on: people sign on at a provider of OpenID Connect, beside passwords or in their place."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from celery_config.common.roles import Role
from celery_config.settings.environment import env

AXES, PASSWORDS = "axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"
NO_PASSWORDS = "celery_config.web.sign_on_accounts.NoPasswords"


def sign_on_settings(service: str, *, production: bool) -> dict[str, Any]:
    """Where people sign on, as which client, and which groups of the provider are which shipped groups.

    Args:
        service: it may be a client of its own.
        production: then the provider has an `https` address.

    Raises:
        ImproperlyConfigured: something is missing or does not fit; the text says what.
    """
    prefix, issuer = service.upper(), env.str("OIDC_ISSUER", "").rstrip("/")
    with_passwords = env.bool("PASSWORD_SIGN_IN", True)
    client = env.str(f"{prefix}_OIDC_CLIENT_ID", "") or env.str("OIDC_CLIENT_ID", "")
    secret = env.str(f"{prefix}_OIDC_CLIENT_SECRET", "") or env.str("OIDC_CLIENT_SECRET", "")
    if issuer and not (client and secret):
        raise ImproperlyConfigured(
            f"OIDC_ISSUER needs OIDC_CLIENT_ID and OIDC_CLIENT_SECRET, or {prefix}_OIDC_…."
        )
    if issuer and production and not issuer.startswith("https://"):
        raise ImproperlyConfigured(
            f"OIDC_ISSUER is {issuer!r}: with ENVIRONMENT=production it begins with https://."
        )
    if not (issuer or with_passwords):
        raise ImproperlyConfigured(
            "PASSWORD_SIGN_IN=false needs OIDC_ISSUER: otherwise no person can sign in."
        )
    return {
        # As the provider's tokens name it, without a slash at its end; empty: there is no sign-on.
        "OIDC_ISSUER": issuer,
        "OIDC_CLIENT_ID": client,
        "OIDC_CLIENT_SECRET": secret,
        "OIDC_SCOPE": env.str("OIDC_SCOPE", "openid email profile"),
        "OIDC_NAME_CLAIM": env.str("OIDC_NAME_CLAIM", "preferred_username"),
        "OIDC_GROUPS_CLAIM": env.str("OIDC_GROUPS_CLAIM", "groups"),
        "OIDC_GROUPS": read_groups(env.list("OIDC_GROUPS", default=[])),
        "PASSWORD_SIGN_IN": with_passwords,
        "AUTHENTICATION_BACKENDS": [AXES, PASSWORDS if with_passwords else NO_PASSWORDS],
    }


def read_groups(pairs: list[str]) -> dict[str, Role]:
    """Return the shipped group of each group of the provider: "shop-ops=operator"; "operator" alone is its own name.

    Args:
        pairs: none stand for the shipped groups by their own names.

    Raises:
        ImproperlyConfigured: there is no such shipped group.
    """
    groups = {}
    for pair in pairs or [*Role]:
        theirs, _, ours = pair.partition("=")
        name = (ours or theirs).strip()
        if name not in [*Role]:
            raise ImproperlyConfigured(
                f"OIDC_GROUPS names {name!r}; the shipped groups are {', '.join(Role)}."
            )
        groups[theirs.strip()] = Role(name)
    return groups
