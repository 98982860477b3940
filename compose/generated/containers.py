"""The parts of compose/compose.yaml: the containers of each service, with their secrets, settings and networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from celery_config.common.declarations import Service
from celery_config.common.service_calls import (
    list_operator_pairs,
    list_pairs,
    list_token_variables,
    name_token,
)
from celery_config.common.services import ORCHESTRATOR, PARTICIPANTS, SERVICES
from compose.generated.parts import Parts

BASE_NETWORKS = ("databases", "messaging", "services")
WEB_NETWORKS = (*BASE_NETWORKS, "edge")
"""The web's template has these."""


def give_parts() -> Parts:
    """Return the lines of each part."""
    roles = [(name, f"{kind}database_password") for name in SERVICES for kind in ("", "owner_")]
    services = SERVICES.values()
    return {
        "public addresses": list_public_addresses(),
        "public addresses for Flower": list_public_addresses(),
        "environments": [line for service in services for line in describe_environment(service)],
        "passwords of roles": [mount(password, name) for name, password in roles],
        "secrets of roles": mount_all(f"{name}_{password}" for name, password in roles),
        "passwords of users": [
            f"RABBITMQ_{name.upper()}_PASSWORD_FILE: /run/secrets/rabbitmq_{name}_password"
            for name in SERVICES
        ],
        "secrets of users": mount_all(f"rabbitmq_{name}_password" for name in SERVICES),
        "processes": [line for service in services for line in describe_processes(service)],
        "secrets": [f"{name}: {{file: secrets/{name}}}" for name in list_every_secret()],
    }


def list_public_addresses() -> list[str]:
    """Return the lines with the address of each service as people see it."""
    variables = [f"{name.upper()}_PUBLIC_URL" for name in SERVICES]
    return [f"{each}: ${{{each}:?set it in compose/.env}}" for each in variables]


def mount(secret: str, service: str) -> str:
    """Return the line that says in which file a secret of a service is."""
    return f"{service.upper()}_{secret.upper()}_FILE: /run/secrets/{service}_{secret}"


def mount_all(secrets: Iterable[str]) -> list[str]:
    return [f"- {secret}" for secret in sorted(secrets)]


def list_secrets(service: Service) -> list[str]:
    """Return the secrets of all processes of a service."""
    name = service.name
    keys = SERVICES if name == ORCHESTRATOR else (name,)
    return [
        f"{name}_database_password", f"{name}_secret_key", f"rabbitmq_{name}_password",
        *(f"{each}_message_keys" for each in keys),
        *(variable.lower() for variable in list_token_variables(name)),
        *service.containers.secrets,
    ]  # fmt: skip


def list_secrets_of_migration(service: Service) -> list[str]:
    name = service.name
    return [*list_secrets(service), f"{name}_admin_password", f"{name}_owner_database_password"]


def list_operator_tokens() -> list[str]:
    """Return the variables of the tokens with which audit and importer call, beside those of the service itself."""
    return [name_token(pair) for pair in list_operator_pairs() if pair[1] != ORCHESTRATOR]


def list_every_secret() -> list[str]:
    found = {secret for service in SERVICES.values() for secret in list_secrets_of_migration(service)}
    return sorted({*found, *(token.lower() for token in list_operator_tokens())})


def describe_environment(service: Service) -> Iterator[str]:
    """Yield the settings and the secrets that all processes of a service have."""
    name, upper = service.name, service.name.upper()
    drives = name == ORCHESTRATOR
    yield f"x-{name}-environment: &{name}"
    for line in (
        "<<: *common",
        f"{upper}_DATABASE_URL: postgres://{name}@postgres:5432/{name}",
        mount("database_password", name),
        f"{upper}_BROKER_URL: amqp://{name}@rabbitmq:5672/order-saga",
        f"{upper}_BROKER_PASSWORD_FILE: /run/secrets/rabbitmq_{name}_password",
        *([f"{upper}_BROKER_API: http://{name}@rabbitmq:15672/api/"] if drives else []),
        f"{upper}_RELAY_WAKE: {name}-relay:9200",
        mount("secret_key", name),
        *(mount("message_keys", each) for each in (name, *(PARTICIPANTS if drives else ()))),
        f"{upper}_HOSTS: 127.0.0.1,{name}-web,${{{upper}_HOSTS:?set it in compose/.env}}",
        f"{upper}_TRUSTED_ORIGINS: ${{{upper}_TRUSTED_ORIGINS:-}}",
        f"{upper}_URL: ${{{upper}_PUBLIC_URL:?set it in compose/.env}}",
        "# Whom it calls.",
        *(f"{each.upper()}_URL: http://{each}-web:8100" for each in list_called(service)),
        *(f"{key}: {value}" for key, value in service.containers.settings.items()),
        *(f"{secret.upper()}_FILE: /run/secrets/{secret}" for secret in service.containers.secrets),
        "# Tokens of those who call it, and of those it calls. Those named after a service are of older versions.",
        *(
            f"{variable}_FILE: /run/secrets/{variable.lower()}"
            for variable in sorted(list_token_variables(name))
        ),
    ):
        yield f"  {line}"
    yield ""
    yield f"x-{name}-secrets: &{name}-secrets"
    yield from (f"  {line}" for line in mount_all(list_secrets(service)))
    yield ""


def list_called(service: Service) -> list[str]:
    """Return the other services that it calls."""
    return [callee for caller, callee in list_pairs(service.name) if caller == service.name != callee]


def describe_processes(service: Service) -> Iterator[str]:
    """Yield the containers of a service."""
    name, upper = service.name, service.name.upper()
    yield from (
        f"{name}-migrate:",
        "  <<: *migrate",
        f"  command: [python, -m, compose.local.prepare, {name}]",
        "  environment:",
        f"    <<: *{name}",
        "    # The role that owns the tables.",
        f"    {upper}_OWNER_DATABASE_URL: postgres://{name}_owner@postgres:5432/{name}",
        f"    {mount('owner_database_password', name)}",
        "    # The password of the user `admin` of the service's pages.",
        f"    ADMIN_PASSWORD_FILE: /run/secrets/{name}_admin_password",
        "  secrets:",
        *(f"    {line}" for line in mount_all(list_secrets_of_migration(service))),
        "",
        f"{name}-web:",
        "  <<: *web",
        f"  command: [python, manage.py, {name}, web, --bind=0.0.0.0:8000, --bind=0.0.0.0:8100]",
        *describe_environment_of_web(service),
        "  ports:",
        f'    - "${{PUBLISH_ADDRESS:-127.0.0.1}}:${{{upper}_PORT:-{service.port}}}:8000"',
        f"  networks: [{join_networks(service, 'web', WEB_NETWORKS)}]",
        "  # Not of RabbitMQ: the outbox keeps what is accepted while it is away.",
        f"  depends_on: &{name}-accepts",
        f"    {name}-migrate: {{condition: service_completed_successfully}}",
        "",
    )
    for process in ("worker", "relay", *(("notifier",) if name == ORCHESTRATOR else ())):
        yield from describe_background(service, process)


def describe_environment_of_web(service: Service) -> list[str]:
    name = service.name
    if name != ORCHESTRATOR:
        return [f"  environment: *{name}", f"  secrets: *{name}-secrets"]
    tokens = list_operator_tokens()
    return [
        "  environment:",
        f"    <<: *{name}",
        "    # Audit and importer run beside it.",
        *(f"    {token}_FILE: /run/secrets/{token.lower()}" for token in tokens),
        "  secrets:",
        *(f"    {line}" for line in mount_all([*list_secrets(service), *map(str.lower, tokens)])),
    ]


def describe_background(service: Service, process: str) -> Iterator[str]:
    name = service.name
    networks = service.containers.networks.get(process, ())
    waits_for = {
        "rabbitmq": process != "notifier",
        "sandbox": process == "worker" and "providers" in networks,
    }
    yield from (
        f"{name}-{process}:",
        "  <<: *background",
        f"  command: [python, manage.py, {name}, {process}]",
        f"  environment: *{name}",
        f"  secrets: *{name}-secrets",
        f"  networks: [{join_networks(service, process, BASE_NETWORKS)}]",
        "  depends_on:",
        f"    <<: *{name}-accepts",
        *(f"    {each}: {{condition: service_healthy}}" for each, waits in waits_for.items() if waits),
        "",
    )


def join_networks(service: Service, process: str, base: tuple[str, ...]) -> str:
    return ", ".join(dict.fromkeys((*base, *service.containers.networks.get(process, ()))))
