"""Each service's own credentials, tried at every other: its broker user, tokens and database role."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import is_dataclass
from importlib import import_module
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from celery_config.broker.topology import EVENTS, TASKS
from celery_config.common.service_calls import CALLS, name_token
from celery_config.common.services import PARTICIPANTS, SERVICES
from celery_config.contracts.base import Command, Event
from docs.permissions_table import read_tables
from tests.acceptance.intruder import Intrude
from tests.acceptance.shop import Shop, until
from tests.attempts import Recorder, note_attempt
from tests.service.addresses import make_address

REFUSED = (401, 403)
# What each participant would have done, had it carried out a forged command.
WORK = {
    "payment": ("payment_payment", "payment_refund", "payment_ledgertransaction", "erasure_forgotten"),
    "inventory": ("inventory_reservation", "inventory_movement"),
    "shipment": ("shipment_shipment", "erasure_forgotten"),
}


def list_contracts(service: str, kind: type[Any]) -> list[str]:
    """The names on the wire of a service's commands or events."""
    module = import_module(f"celery_config.contracts.{service}")
    return [
        each.wire_name()
        for each in vars(module).values()
        if is_dataclass(each) and issubclass(each, kind) and each.__module__ == module.__name__
    ]


def count_work(shop: Shop) -> dict[str, int]:
    """Rows and their changes, by table: what was done."""
    return {
        table: int(shop.rows(service, f"SELECT count(*) AS n FROM {table}")[0]["n"])
        for service, tables in WORK.items()
        for table in tables
    }


def list_others(service: str) -> list[str]:
    return [each for each in SERVICES if each != service]


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_announces_any_event_of_another(shop: Shop, intrude: Intrude, service: str) -> None:
    intruder = intrude(service)
    for other in list_others(service):
        kinds = list_contracts(other, Event)
        assert kinds or other == "order"
        for kind in kinds:
            assert not intruder.send(EVENTS, kind, "events.receive", [], {"type": kind}, what=kind), kind


@pytest.mark.parametrize("service", PARTICIPANTS)
def test_no_participant_gives_any_command_of_another(shop: Shop, intrude: Intrude, service: str) -> None:
    """Only the order service gives them: a code that another made, or none, is a dead letter."""
    intruder, before, known = intrude(service), count_work(shop), {row["id"] for row in shop.dead_letters()}
    sent: list[str] = []
    for other in list_others(service):
        for task in list_contracts(other, Command):
            kwargs = {"saga": str(uuid4()), "step": "x", "attempt": 0, "operation": "do", "command": {}}
            for signed in (kwargs, intruder.sign(task, kwargs)):
                assert intruder.send(TASKS, task, task, [{}], signed)
                sent.append(task)
    assert sent

    def kept() -> Counter[str]:
        return Counter(row["task"] for row in shop.dead_letters() if row["id"] not in known)

    until(lambda: kept() == Counter(sent), "each is kept as a dead letter")
    assert count_work(shop) == before


def list_calls(callee: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, address and row of the table, of each call that is not for everyone."""
    for call, row in read_tables()[callee]["api"].items():
        method, _, route = call.partition(" ")
        if row["people"] != "everyone":
            yield method, make_address(route.removeprefix("/")), row


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_calls_nothing_out_of_its_scope(
    shop: Shop, service: str, record_property: Recorder
) -> None:
    """With the token for the called service, and with those that it has for others."""
    before, faults = count_work(shop), []
    for callee in list_others(service):
        tokens = {
            other: shop.stack.environment[name_token((service, other))]
            for other in SERVICES
            if service in CALLS[other]
        }
        with httpx.Client(base_url=shop.stack.url(callee), trust_env=False, timeout=30) as client:
            for method, address, row in list_calls(callee):
                for other, token in tokens.items():
                    headers = {"Authorization": f"Bearer {token}"}
                    status = client.request(method, address, json={}, headers=headers).status_code
                    may = other == callee and service in row.get("callers", ())
                    what = f"{method} {address} at {callee} with the token for {other}"
                    result = f"{status}, in its scope" if may else str(status)
                    note_attempt(record_property, "calls over HTTP", service, what, result)
                    if (status not in REFUSED) is not may:
                        faults.append(f"{what}: {status}")
        if tokens:
            log = (shop.stack.logs / f"{callee}-web.log").read_text(errors="replace")
            assert "a service token is wrong" in log or {*tokens} == {callee}
            assert f"service:{service}" in log or callee not in tokens
    assert faults == []
    assert count_work(shop) == before


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_database_role_reaches_its_rows_alone(
    shop: Shop, service: str, record_property: Recorder
) -> None:
    assert shop.stack.postgres is not None
    for other in (*list_others(service), "postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
            psycopg.connect(shop.stack.postgres.url(other, service))
        note_attempt(record_property, "databases", service, f"a connection to {other}", "refused")
    with psycopg.connect(shop.stack.postgres.url(service), autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM django_migrations").fetchone() != (0,)
        for statement in (
            "DELETE FROM django_migrations",
            "INSERT INTO django_migrations (app, name, applied) VALUES ('messaging', '9999', now())",
            "UPDATE django_content_type SET model = 'x'",
            "UPDATE auth_permission SET codename = 'x'",
            "ALTER TABLE messaging_outboxmessage DISABLE TRIGGER ALL",
            "TRUNCATE messaging_barrierrow",
            "CREATE TABLE mine (id int)",
            f"SET ROLE {service}_owner",
            "COPY (SELECT 1) TO PROGRAM 'id'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            note_attempt(record_property, "databases", service, statement, "refused")
