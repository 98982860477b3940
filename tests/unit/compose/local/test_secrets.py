"""Which process knows which secret, and which files others can read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_config.common.services import SERVICES
from compose.local.private_files import write_private
from compose.local.process import Process
from compose.local.secrets import select_environment
from compose.local.stack import Stack
from tests.modes import find_open

SERVERS = {
    f"{service.upper()}_{kind}_URL": f"{scheme}://{service}:{kind.lower()}-of-{service}@127.0.0.1:1/x"
    for service in SERVICES
    for kind, scheme in (("DATABASE", "postgres"), ("OWNER_DATABASE", "postgres"), ("BROKER", "amqp"))
}
GIVEN = SERVERS | {
    "FLOWER_BROKER_URL": "amqp://flower:broker-of-flower@127.0.0.1:1/x",
    "ORDER_BROKER_API": "http://order:api-of-order@127.0.0.1:1/api/",
    **{f"{service.upper()}_SERVICE_TOKEN": f"shared-token-of-{service}" for service in SERVICES},
    "STRIPE_API_KEY": "sk_of_payment",
    "EMAIL_URL": "smtp://user:password-of-mail@127.0.0.1:1",
    "ACME_API_KEY": "key-of-a-provider",
    "BROKER_CLIENT_KEY": "/run/client.key",
    "PATH": "/usr/bin:/bin",
}
OWN = {"DATABASE_URL", "BROKER_URL", "SECRET_KEY", "MESSAGE_KEYS"}
OF_PROVIDERS = {"ACME_API_KEY"}
# With which each is called, with which it calls, and those of older versions.
TOKENS = {
    "order": "ORDER_TO_ORDER PAYMENT_TO_ORDER INVENTORY_TO_ORDER SHIPMENT_TO_ORDER OPERATOR_TO_ORDER"
    " ORDER_TO_PAYMENT ORDER_TO_INVENTORY ORDER_TO_SHIPMENT"
    " ORDER_SERVICE PAYMENT_SERVICE INVENTORY_SERVICE SHIPMENT_SERVICE",
    "payment": "ORDER_TO_PAYMENT INVENTORY_TO_PAYMENT OPERATOR_TO_PAYMENT PAYMENT_TO_ORDER"
    " PAYMENT_SERVICE ORDER_SERVICE",
    "inventory": "ORDER_TO_INVENTORY OPERATOR_TO_INVENTORY INVENTORY_TO_ORDER INVENTORY_TO_PAYMENT"
    " INVENTORY_SERVICE ORDER_SERVICE PAYMENT_SERVICE",
    "shipment": "ORDER_TO_SHIPMENT OPERATOR_TO_SHIPMENT SHIPMENT_TO_ORDER SHIPMENT_SERVICE ORDER_SERVICE",
}
DUE = {
    "order": {f"{s.upper()}_MESSAGE_KEYS" for s in SERVICES} | {"ORDER_BROKER_API", "EMAIL_URL"},
    "payment": {"PAYMENT_WEBHOOK_SECRET", "STRIPE_API_KEY"} | OF_PROVIDERS,
    "inventory": set(),
    "shipment": {"SHIPMENT_WEBHOOK_SECRET"} | OF_PROVIDERS,
    "sandbox": {"PAYMENT_WEBHOOK_SECRET", "SHIPMENT_WEBHOOK_SECRET"},
    "flower": {"FLOWER_BROKER_URL", "FLOWER_BASIC_AUTH"},
}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack("servers", var=tmp_path / "var", environ=GIVEN)
    yield stack
    stack.stop()


def known(process: Process, secrets: dict[str, str]) -> set[str]:
    """The secrets that a process can read in its environment or its command, by name."""
    text = f"{process.argv} {process.env}"
    names = {name for name, value in secrets.items() if value in text}
    return names | ({"FLOWER_BASIC_AUTH"} & {*(process.env or {})})


def test_each_process_knows_the_secrets_that_it_needs_alone(stack: Stack) -> None:
    secrets = {
        name: value
        for name, value in stack.environment.items()
        if re.search(r"(_URL|_API|KEYS?|TOKEN|SECRET|PASSWORD)$", name) and "://127.0.0.1" not in value
    }
    secrets.pop("BROKER_CLIENT_KEY")
    blueprint = stack.blueprint
    for service in SERVICES:
        prefix = service.upper()
        due = {f"{prefix}_{name}" for name in OWN} | DUE[service]
        due |= {f"{name}_TOKEN" for name in TOKENS[service].split()}
        for process in blueprint.all_of(service):
            assert known(process, secrets) == due, process.name
            assert process.env is not None
            assert process.env["BROKER_CLIENT_KEY"] == "/run/client.key"
            assert process.env["ORDER_URL"]
        assert known(blueprint.prepare(service), secrets) == due | {
            "ADMIN_PASSWORD",
            f"{prefix}_OWNER_DATABASE_URL",
        }
    assert known(blueprint.sandbox(), secrets) == DUE["sandbox"]
    # Its login is the administrator's.
    assert known(blueprint.flower(), secrets) == DUE["flower"] | {"ADMIN_PASSWORD"}


def test_only_who_operates_knows_the_tokens_of_the_operator(stack: Stack) -> None:
    plain, operating = (
        select_environment(stack.environment, "order", operates=operates) for operates in (False, True)
    )
    assert {*operating} - {*plain} == {
        f"OPERATOR_TO_{service.upper()}_TOKEN" for service in ("payment", "inventory", "shipment")
    }


def test_what_a_stack_makes_is_for_its_owner_alone(stack: Stack) -> None:
    older = stack.logs / "older"
    older.mkdir(mode=0o755)
    stack.logs.chmod(0o755)
    stack.stop()
    again = Stack("servers", var=stack.var, environ=GIVEN)
    again.stop()
    made = Process(name="writes", argv=["touch", "new"], cwd=stack.var / "log", log=stack.logs / "writes.log")
    made.start(is_task=True)
    made.wait_until_done()
    write_private(stack.var / "deep" / "down" / "secret", "")
    assert (stack.logs / "new").exists()
    older.rmdir()
    assert find_open(stack.var) == []
