"""Who knows which secret: each process gets those of its own service, and of others only what it calls them with."""

import re
from collections.abc import Mapping

from celery_config.common.secret_files import SECRET
from celery_config.common.service_calls import OPERATOR, list_operator_pairs, list_token_variables, name_token
from celery_config.common.services import ORCHESTRATOR, PARTICIPANTS, SERVICES

# It is the name of a file, and every service reads it.
_NO_SECRETS = {"BROKER_CLIENT_KEY"}
_ADMINISTRATION = re.compile(r"^ADMIN_PASSWORD$|_OWNER_DATABASE_(URL|PASSWORD)$")
_OF_OTHERS: dict[str, set[str]] = {
    **{service: list_token_variables(service) for service in PARTICIPANTS},
    # It checks what each of them says.
    ORCHESTRATOR: list_token_variables(ORCHESTRATOR)
    | {f"{service.upper()}_MESSAGE_KEYS" for service in SERVICES},
    # It signs its webhooks.
    "sandbox": {"PAYMENT_WEBHOOK_SECRET", "SHIPMENT_WEBHOOK_SECRET"},
}
_OF_OPERATOR = {name_token(pair) for pair in list_operator_pairs()}
_PREFIXES = {name: name for name in (*SERVICES, "sandbox", "flower", OPERATOR)} | {
    "stripe": "payment",
    "email": ORCHESTRATOR,
}
_CALL_PROVIDERS = ("payment", "shipment")


def select_environment(
    environment: Mapping[str, str], owner: str, *, administers: bool = False, operates: bool = False
) -> dict[str, str]:
    """Return what the processes of `owner` may know of `environment`: everything but the secrets of others.

    Args:
        owner: a service, `sandbox` or `flower`.
        administers: it may also log in as the owner of the tables, and sets the administrator's password.
        operates: it may also call as the operator, as audit and importer do.
    """
    return {
        name: value
        for name, value in environment.items()
        if not SECRET.search(name)
        or name in _NO_SECRETS
        or _may_know(name, owner, administers)
        or (operates and name in _OF_OPERATOR)
    }


def _may_know(name: str, owner: str, administers: bool) -> bool:
    if _ADMINISTRATION.search(name) and not administers:
        return False
    prefix = name.partition("_")[0].lower()
    if prefix in _PREFIXES:
        return _PREFIXES[prefix] == owner or name in _OF_OTHERS.get(owner, ())
    if prefix == "admin":
        return owner in SERVICES
    # Not one of ours: of a provider or a carrier.
    return owner in _CALL_PROVIDERS
