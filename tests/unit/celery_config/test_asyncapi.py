"""The events as a public contract: one document of them all, what services hear, and the form they travel in."""

from __future__ import annotations

import gzip
import json
from copy import deepcopy
from dataclasses import field, make_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import jsonschema
import pytest
import yaml
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat

from celery_config.asyncapi import build_document, list_announced, list_events, match_events
from celery_config.common.services import ORCHESTRATOR, SERVICES
from celery_config.contracts.base import Event, decode, encode
from celery_config.contracts.cloudevents import structured_event
from celery_config.contracts.subscriptions import EventSubscription
from docs import asyncapi
from order_project.choreography.derivation import EVENTS_OF_AN_ORDER
from tests.unit.celery_config.contracts.test_contracts import golden

SCHEMA = json.loads(
    gzip.decompress((Path(__file__).parent / "asyncapi" / "3.0.0-without-id.json.gz").read_bytes())
)
WHOLE = build_document(asyncapi.parts())
EVENTS = {kind.wire_name(): kind for kind in list_events()}


class TestDocument:
    def test_the_page_is_what_the_code_says(self) -> None:
        """After a change: `./manage.py asyncapi --write`."""
        assert asyncapi.PAGE.read_text(encoding="utf-8") == asyncapi.text()

    def test_it_is_asyncapi(self) -> None:
        """By the specification's own schema."""
        jsonschema.validate(yaml.safe_load(asyncapi.text()), SCHEMA)

    @pytest.mark.parametrize("service", SERVICES)
    def test_so_is_that_of_each_service(self, service: str) -> None:
        jsonschema.validate(build_document({service: asyncapi.parts()[service]}), SCHEMA)

    def test_every_reference_leads_somewhere(self) -> None:
        whole = yaml.safe_load(asyncapi.text())
        for reference in references(whole):
            found: Any = whole
            for part in reference.removeprefix("#/").split("/"):
                found = found[part]

    @pytest.mark.parametrize("name", EVENTS)
    def test_what_was_ever_announced_fits_its_schema(self, name: str) -> None:
        event = cloud_event(EVENTS[name], golden(name))
        payload = WHOLE["components"]["messages"][name]["payload"]
        jsonschema.validate(event, {**payload, "components": WHOLE["components"]})
        wrong = deepcopy(event) | {"type": "order.nothing_happened"}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, {**payload, "components": WHOLE["components"]})


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [each for item in value.values() for each in references(item)]
    return [each for item in value for each in references(item)] if isinstance(value, list) else []


def cloud_event(kind: type[Event], data: dict[str, Any]) -> dict[str, Any]:
    event = structured_event(
        decode(kind, data), service="payment", subject="x", time=datetime.now(UTC), saga=uuid4(), event_id=uuid4(),
        step="s", operation="do", outcome="done", flow="choreographed", drive=1,
    )  # fmt: skip
    return json.loads(json.dumps(event))  # type: ignore[no-any-return]


class TestSubscriptions:
    """What the lines of the services' `subscriptions.py` are about."""

    def test_every_line_is_about_something(self) -> None:
        for listens in asyncapi.parts().values():
            for each in listens:
                assert list(match_events(each)), each

    def test_orchestrated_orders_cost_the_participants_nothing(self) -> None:
        """Nothing that a saga's step announces is delivered to a participant."""
        of_sagas = {kind.wire_name() for kind in list_events() if not is_choreographed(kind)}
        for service, listens in asyncapi.parts().items():
            if service != ORCHESTRATOR:
                acted_on = {
                    kind
                    for each in listens
                    if not isinstance(each, EventSubscription)
                    for kind in each.patterns
                }
                assert acted_on & of_sagas == set()

    def test_every_event_is_somebodys(self) -> None:
        assert set(EVENTS.values()) == {k for s in SERVICES for k in list_announced(s)}


def is_choreographed(kind: type[Event]) -> bool:
    return kind.wire_name() in EVENTS_OF_AN_ORDER or kind.__name__ == "OrderPlaced"


class TestReaders:
    """Rule 24, for each event: services are deployed one after the other."""

    @pytest.mark.parametrize("name", EVENTS)
    def test_an_old_reader_takes_a_newer_event(self, name: str) -> None:
        newer = grown(EVENTS[name])
        event = encode(decode(newer, golden(name) | {"added": "by a later release"}))
        assert event["added"] == "by a later release"
        assert decode(EVENTS[name], event) == decode(EVENTS[name], golden(name))

    @pytest.mark.parametrize("name", EVENTS)
    def test_a_new_reader_takes_an_older_event(self, name: str) -> None:
        read = decode(grown(EVENTS[name]), golden(name))
        assert read.added == "nothing"  # type: ignore[attr-defined]
        assert {**encode(read), "added": None} == {
            **encode(decode(EVENTS[name], golden(name))),
            "added": None,
        }


def grown(kind: type[Event]) -> type[Event]:
    """The event as a later release has it, with a field more."""
    fields = [("added", str, field(default="nothing")), ("service", ClassVar[str], kind.service)]
    return make_dataclass(kind.__name__, fields, bases=(kind,), frozen=True, kw_only=True)


class TestCloudEvents:
    @pytest.mark.parametrize("name", EVENTS)
    def test_the_cncfs_own_reader_takes_it(self, name: str) -> None:
        """Structured mode, JSON format (CloudEvents 1.0), by its SDK, which checks names, types and times."""
        event = cloud_event(EVENTS[name], golden(name))
        message = HTTPMessage({"content-type": "application/cloudevents+json"}, json.dumps(event).encode())
        read = from_http_event(message, JSONFormat())
        assert (read.get_type(), read.get_subject(), read.get_source()) == (name, "x", event["source"])
        assert read.get_data() == event["data"]
