"""Commands, replies and refusals as JSON; ids and hashes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, make_dataclass
from typing import Any, ClassVar
from uuid import UUID, uuid4

import msgspec
import pytest

from celery_config.contracts.base import command_hash, command_id, decode, encode, fill_command, snake_case
from celery_config.contracts.shipment import Address, BookShipment
from tests.trip import BookFlight, BookHotel

TRIP = UUID("6f1c7a0e-1111-4222-8333-444455556666")


def test_names_on_the_wire() -> None:
    assert snake_case("ReserveStock") == "reserve_stock"
    assert BookHotel.wire_name() == "inventory.book_hotel"
    assert BookHotel(trip=TRIP, nights=1).subject == str(TRIP)


def test_a_message_survives_its_round_trip() -> None:
    command = BookHotel(trip=TRIP, nights=2)
    assert encode(command) == {"trip": str(TRIP), "nights": 2}
    assert decode(BookHotel, encode(command)) == command


def test_a_value_is_sent_and_stored_without_the_later_parts_that_it_does_not_need() -> None:
    """Rule 24 (versions): it looks as it did in the release that did not know them."""
    first = {"name": "Ada", "line1": "1 High St", "city": "London", "postal_code": "SW1", "country": "GB"}
    for given in (first, {**first, "line2": "", "region": ""}):
        for address in (Address(**given), decode(Address, given)):
            assert encode(address) == first
            assert encode(BookShipment(order=TRIP, address=address, weight_grams=1))["address"] == first
    assert encode(Address(**first, line2="Flat 3")) == {**first, "line2": "Flat 3"}


@pytest.mark.parametrize(
    "data", [{"trip": str(TRIP)}, {"trip": str(TRIP), "nights": "many"}, {"trip": "x", "nights": 1}]
)
def test_a_missing_or_mistyped_field_is_an_error_that_names_it(data: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"nights|trip"):
        decode(BookHotel, data)


class TestCommandId:
    def test_it_is_fixed_by_saga_step_and_operation_alone(self) -> None:
        """Rule 2 (ids): there is no attempt in it, and it never changes between releases."""
        assert command_id(TRIP, "hotel", "do") == UUID("b132ad32-ccb3-57a1-abaa-8bade97495ad")

    def test_each_part_counts(self) -> None:
        """Rule 2 (ids)."""
        ids = {
            command_id(s, step, op)
            for s in (TRIP, uuid4())
            for step in ("hotel", "car")
            for op in ("do", "undo")
        }
        assert len(ids) == 8


class TestCommandHash:
    def test_equal_commands_have_equal_hashes_and_others_not(self) -> None:
        assert command_hash(BookHotel(trip=TRIP, nights=2)) == command_hash(
            decode(BookHotel, {"trip": str(TRIP), "nights": 2})
        )
        assert command_hash(BookHotel(trip=TRIP, nights=2)) != command_hash(BookHotel(trip=TRIP, nights=3))

    @pytest.mark.parametrize(
        "added",
        [
            dataclasses.field(default=""),
            dataclasses.field(default=0),
            dataclasses.field(default_factory=list),
        ],
    )
    def test_an_added_defaulted_field_changes_no_hash(self, added: object) -> None:
        """Rule 5 (the barrier): nor when today's code knows a value for it, from a saga that began before."""
        grown = make_dataclass(
            "BookHotel", [("extra", object, added)], bases=(BookHotel,), frozen=True, kw_only=True
        )
        assert command_hash(grown(trip=TRIP, nights=2)) == command_hash(BookHotel(trip=TRIP, nights=2))
        assert command_hash(grown(trip=TRIP, nights=2, extra="x")) == command_hash(
            BookHotel(trip=TRIP, nights=2)
        )

    def test_nor_does_one_inside_a_nested_value(self) -> None:
        """Rule 5 (the barrier): the address of a shipment may grow a second line while orders are under way."""

        @dataclass(frozen=True)
        class Street:
            line1: str

        @dataclass(frozen=True)
        class LongStreet:
            line1: str
            line2: str = ""

        @dataclass(frozen=True)
        class Visit:
            streets: tuple[object, ...]

        assert command_hash(Visit((Street("a"),))) == command_hash(Visit((LongStreet("a"),)))
        assert command_hash(Visit((Street("a"),))) == command_hash(Visit((LongStreet("a", "b"),)))
        assert command_hash(Visit((Street("a"),))) != command_hash(Visit((Street("b"),)))

    def test_one_of_the_first_release_counts_where_it_differs_from_its_default(self) -> None:
        """Rule 5 (the barrier): as the rows have it that were written when every such field counted."""

        @dataclass(frozen=True)
        class Parcel:
            hashed_defaults: ClassVar[tuple[str, ...]] = ("parcels",)
            weight: int
            parcels: int = 1
            note: str = ""

        assert command_hash(Parcel(5)) != command_hash(Parcel(5, parcels=2))
        assert command_hash(Parcel(5)) == command_hash(Parcel(5, note="fragile"))


class TestFillCommand:
    def test_a_field_comes_from_a_reply(self) -> None:
        known = {"hotel": {"nights": 2}}
        filled = fill_command(BookHotel, {"trip": str(TRIP)}, {"nights": "hotel"}, known)
        assert filled == BookHotel(trip=TRIP, nights=2)

    def test_a_reply_of_an_older_release_lacks_what_came_later(self) -> None:
        """Rule 24 (versions): reply and command gained a field; the reply in the saga log was written before."""
        known: dict[str, dict[str, object]] = {"hotel": {}}
        assert fill_command(BookFlight, {"trip": str(TRIP)}, {"luggage": "hotel"}, known).luggage == 1
        known["hotel"]["luggage"] = 3
        assert fill_command(BookFlight, {"trip": str(TRIP)}, {"luggage": "hotel"}, known).luggage == 3

    @pytest.mark.parametrize("known", [{}, {"hotel": {}}, {"hotel": None}])
    def test_what_it_cannot_do_without_is_missing(self, known: dict[str, Any]) -> None:
        with pytest.raises(msgspec.ValidationError, match="lack what it needs"):
            fill_command(BookHotel, {"trip": str(TRIP)}, {"nights": "hotel"}, known)
