"""What a service lacks is said by `check`, and at its start, with what to write and where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

import pytest
from django.core import checks
from django.core.checks import CheckMessage
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from celery_config.checks import contracts, copies, handlers, sagas, services, subscriptions
from celery_config.common.declarations import Service
from celery_config.common.process import START_CHECKS
from celery_config.common.services import PARTICIPANTS, SERVICES
from celery_config.contracts.base import Command, Reply
from celery_config.contracts.shipment import BookShipment, DispatchShipment, ShipmentBooked
from celery_config.contracts.subscriptions import SAGA_LOG, subscribe, subscribe_saga_log
from celery_config.copies import registry
from celery_config.errors import Refused
from celery_config.messaging.barrier.steps import Handler, OutsideStep
from celery_config.messaging.inbox.subscriptions import reactors
from celery_config.messaging.inbox.subscriptions import subscriptions as registered
from celery_config.participant.handlers import OneByOne, one_by_one
from tests.trip import BookHotel, CancelHotel, HotelBooked, Trip

HEAR = "celery_config.copies.subscriber.handle_events"


def said(found: Iterable[CheckMessage]) -> list[tuple[str | None, str]]:
    return [(each.id, f"{each.msg} {each.hint}") for each in found]


def test_a_service_that_is_whole_has_nothing_to_say() -> None:
    assert checks.run_checks(tags=START_CHECKS) == []


@pytest.mark.parametrize("command", ["worker", "web", "relay"])
def test_a_process_does_not_start_with_what_cannot_work(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from celery_config.participant.handlers import registry as handled

    monkeypatch.delitem(handled, BookShipment.wire_name())
    with pytest.raises(SystemCheckError, match="shipment has no handler for BookShipment"):
        call_command(command, skip_checks=False)


class TestHandlers:
    def test_a_command_without_a_handler(self) -> None:
        ((id, text),) = said(handlers.check_all_handled("shipment", [BookShipment], {}))
        assert id == "handlers.E002"
        assert "Write `@handles_one(BookShipment)` above a function in shipment_app/tasks.py" in text

    def test_a_command_of_another_service(self) -> None:
        handler = Handler(BookHotel, local=one_by_one(lambda command: None))
        ((id, text),) = said(handlers.check_each("shipment", {"": handler}))
        assert (id, "which inventory gets" in text) == ("handlers.E003", True)

    def test_a_command_without_its_decorator(self) -> None:
        bare = type("Say", (Command,), {"service": "shipment", "done": HotelBooked})
        handler = Handler(bare, local=one_by_one(lambda command: None))
        ((id, text),) = said(handlers.check_each("shipment", {"": handler}))
        assert (id, "Say is no dataclass; write @dataclass" in text) == ("contracts.E001", True)

    def test_annotations_that_fit(self) -> None:
        def book(commands: Sequence[BookHotel]) -> list[HotelBooked | Refused]: ...

        def book_one(command: BookHotel) -> HotelBooked: ...

        def cancel(command: CancelHotel) -> None: ...

        def bare(commands):  # type: ignore[no-untyped-def]
            ...

        for handler in (
            Handler(BookHotel, local=book), Handler(BookHotel, local=one_by_one(book_one)),
            Handler(CancelHotel, local=one_by_one(cancel)), Handler(BookHotel, local=bare),
        ):  # fmt: skip
            assert [*handlers.find_handler_faults(handler)] == []

    def test_annotations_that_do_not_fit(self) -> None:
        def of_another(command: CancelHotel) -> ShipmentBooked: ...

        def nothing(command: BookHotel) -> None: ...

        def refuses(commands: Sequence[DispatchShipment]) -> list[Refused]: ...

        faults = [
            *handlers.find_handler_faults(Handler(BookHotel, local=one_by_one(of_another))),
            *handlers.find_handler_faults(Handler(BookHotel, local=one_by_one(nothing))),
            *handlers.find_handler_faults(Handler(DispatchShipment, local=refuses)),
        ]
        assert faults == [
            "takes CancelHotel",
            "returns ShipmentBooked; it must return HotelBooked",
            "returns None; it must return HotelBooked",
            "returns Refused, and DispatchShipment names no refusal; write `refused = …` there",
        ]

    def test_a_step_outside_that_makes_no_call(self) -> None:
        class Book(OneByOne):
            def request(self, command: BookHotel) -> dict[str, Any]: ...

            def settle_one(self, request: dict[str, Any], answer: dict[str, Any]) -> HotelBooked: ...

        class Bare(OutsideStep): ...

        assert [*handlers.find_handler_faults(Handler(BookHotel, outside=Book()))] == ["defines no `call`"]
        found = [*handlers.find_handler_faults(Handler(BookHotel, outside=Bare()))]
        assert found[:3] == ["defines no `call`", "defines no `requests`", "defines no `settle`"]


class TestContracts:
    def test_a_contract_of_no_service(self) -> None:
        ((id, text),) = said(contracts.check_owners([BookHotel], ["payment"]))
        assert id == "contracts.E002"
        assert "In tests/trip.py, write `service = …` with one of payment" in text

    def test_a_command_without_its_reply(self) -> None:
        @dataclass(frozen=True, kw_only=True)
        class Say(Command):
            service: ClassVar[str] = "shipment"
            order: UUID

        ((id, text),) = said(contracts.check_messages([Say]))
        assert (id, "write done = … in it" in text) == ("contracts.E001", True)

    def test_a_person_s_data_without_its_mark(self) -> None:
        @dataclass(frozen=True, kw_only=True)
        class GuestBooked(Reply):
            service: ClassVar[str] = "shipment"
            personal = ("cart",)
            card: str

        found = said(contracts.check_marks([GuestBooked]))
        assert [id for id, _ in found] == ["contracts.E003", "contracts.W001"]
        assert "marks cart, which is no field of it" in found[0][1]
        assert "`personal = ('card',)` into GuestBooked" in found[1][1]


class TestSubscriptions:
    def test_what_cannot_be_called(self) -> None:
        lines = [subscribe("payment.*", call=path) for path in ("nowhere.at_all", "os.getcwd", HEAR)]
        found = said(subscriptions.check_calls(lines))
        assert [id for id, _ in found] == ["subscriptions.E001"] * 2
        assert "cannot be imported: ModuleNotFoundError" in found[0][1]
        assert "does not take one list" in found[1][1]

    def test_what_waits_for_a_service_that_is_none(self) -> None:
        lines = [subscribe("paymnet.*", call=HEAR), subscribe("*.refunded", "step.*", call=HEAR)]
        ((id, text),) = said(subscriptions.check_types(lines, SERVICES))
        assert (id, "'paymnet'" in text) == ("subscriptions.E002", True)

    def test_what_nothing_takes(self) -> None:
        lines = subscriptions.read_own_lines()
        assert said(subscriptions.check_registered(lines, registered, reactors)) == []
        found = said(subscriptions.check_registered(lines, [], {}))
        assert [id for id, _ in found] == ["subscriptions.E003"] * len(lines)
        assert "Write `register_subscriptions(SUBSCRIPTIONS)` into shipment_app/tasks.py" in found[0][1]

    def test_a_reaction_without_a_handler(self) -> None:
        found = said(subscriptions.check_rules(subscriptions.read_own_lines(), {}))
        assert {id for id, _ in found} == {"subscriptions.E004"}
        assert "should carry out BookShipment" in found[0][1]

    def test_a_participant_that_the_saga_log_does_not_hear(self) -> None:
        assert said(subscriptions.check_saga_log([subscribe_saga_log()], PARTICIPANTS)) == []
        line = subscribe("payment.*", "step.*", call=SAGA_LOG)
        found = said(subscriptions.check_saga_log([line], ("payment", "hotel")))
        ((id, text),) = found
        assert (id, "hotel.*" in text, "subscribe_saga_log()" in text) == ("subscriptions.E005", True, True)


class TestCopies:
    def test_a_copy_that_nothing_declares_or_hears(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(copies, "copies", {})
        found = said(copies.check_declarations(None))
        assert [id for id, _ in found] == ["copies.E005", "copies.E007", "copies.E007", "copies.E009"]
        assert (
            "Write `keep_copy(DeliveryAddress, …Changed, …Deleted)` into shipment_app/copies.py"
            in found[0][1]
        )

    def test_a_copy_without_its_subscription(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A pattern brings the events, and not as contracts: the subscriber would leave them out."""
        monkeypatch.setattr(copies, "read_own_lines", lambda: [subscribe("order.*", call="x.y")])
        (copy,) = registry.copies.values()
        found = said(copies.check_copy(copy))
        assert [id for id, _ in found] == ["copies.E003"] * 2
        assert f"Write `subscribe(CustomerChanged, CustomerDeleted, call={HEAR!r}" in found[0][1]

    def test_a_copy_that_may_not_be_compared(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(copies, "find_scope", lambda *_: frozenset())
        (copy,) = registry.copies.values()
        ((id, text),) = said(copies.check_copy(copy))
        assert (id, 'Write `keeps_copies_of = ["order"]` into shipment_app/service.toml' in text) == (
            "copies.E008",
            True,
        )

    def test_a_table_that_is_not_published(self) -> None:
        from celery_config.contracts.order import CustomerChanged, OrderPlaced

        ((id, text),) = said(copies.check_all_published([CustomerChanged, OrderPlaced]))
        assert (id, "publish(MODEL, CustomerChanged" in text) == ("copies.E006", True)


class TestServices:
    def test_a_service_without_its_parts(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "hotel_app").mkdir()
        (tmp_path / "hotel_app/tasks.py").touch()
        (tmp_path / "hotel_app/__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path)
        hotel, car = Service("hotel", "hotel_app", 8005), Service("car", "car_app", 8006)
        *missing, unheard = said(services.check_package("hotel", hotel))
        assert [id for id, _ in missing] == ["services.E002"] * 3
        assert unheard[0] == "services.E003"
        assert "there is no hotel_app/subscriptions.py; write SUBSCRIPTIONS = [] there" in unheard[1]
        ((id, text),) = said(services.check_package("car", car))
        assert (id, "it needs car_app/__init__.py" in text) == ("services.E001", True)

    def test_a_source_of_which_no_copy_is_kept(self) -> None:
        ((id, text),) = said(copies.check_sources(set()))
        assert (id, "shipment declares that it keeps copies of order" in text) == ("copies.E009", True)
        assert said(copies.check_sources({"order"})) == []


class TestSagas:
    def test_a_command_of_no_participant(self) -> None:
        found = said(sagas.check_saga(Trip, ("payment", "shipment"), [BookHotel]))
        assert found[0][0] == "sagas.E001"
        assert "Trip, step hotel: BookHotel belongs to 'inventory'" in found[0][1]

    def test_a_command_that_its_participant_does_not_import(self) -> None:
        found = said(sagas.check_saga(Trip, PARTICIPANTS, []))
        assert found[0][0] == "sagas.E002"
        assert "Move it to celery_config/contracts/inventory.py" in found[0][1]

    def test_a_saga_that_nothing_imports(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "tour_app").mkdir()
        (tmp_path / "tour_app/__init__.py").touch()
        text = "from celery_config.saga.dsl import Saga\nclass Tour(Saga): ...\n"
        (tmp_path / "tour_app/tours.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        ((id, text),) = said(sagas.check_imported("tour_app"))
        assert (id, "Tour in tour_app/tours.py is not registered" in text) == ("sagas.E003", True)
