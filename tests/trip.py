"""A saga for the engine's tests: a trip with a hotel and a flight, paid, then ticketed."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from celery_config.contracts.base import Command, Refusal, Reply
from celery_config.saga.dsl import Saga, compensatable, minutes, pivot, retriable


@dataclass(frozen=True, kw_only=True)
class HotelBooked(Reply):
    service = "inventory"
    booking: UUID


@dataclass(frozen=True, kw_only=True)
class HotelRefused(Refusal):
    service = "inventory"


@dataclass(frozen=True, kw_only=True)
class HotelCancelled(Reply):
    service = "inventory"
    trip: UUID


@dataclass(frozen=True, kw_only=True)
class BookHotel(Command):
    service = "inventory"
    done = HotelBooked
    refused = HotelRefused
    trip: UUID
    nights: int


@dataclass(frozen=True, kw_only=True)
class CancelHotel(Command):
    service = "inventory"
    done = HotelCancelled
    trip: UUID


@dataclass(frozen=True, kw_only=True)
class FlightBooked(Reply):
    service = "shipment"
    seat: str


@dataclass(frozen=True, kw_only=True)
class FlightRefused(Refusal):
    service = "shipment"


@dataclass(frozen=True, kw_only=True)
class FlightCancelled(Reply):
    service = "shipment"
    trip: UUID


@dataclass(frozen=True, kw_only=True)
class BookFlight(Command):
    service = "shipment"
    done = FlightBooked
    refused = FlightRefused
    trip: UUID
    luggage: int = 1


@dataclass(frozen=True, kw_only=True)
class CancelFlight(Command):
    service = "shipment"
    done = FlightCancelled
    trip: UUID


@dataclass(frozen=True, kw_only=True)
class TripCharged(Reply):
    service = "payment"
    charge: UUID


@dataclass(frozen=True, kw_only=True)
class ChargeRefused(Refusal):
    service = "payment"


@dataclass(frozen=True, kw_only=True)
class ChargeTrip(Command):
    service = "payment"
    done = TripCharged
    refused = ChargeRefused
    trip: UUID
    booking: UUID


@dataclass(frozen=True, kw_only=True)
class TicketIssued(Reply):
    service = "shipment"
    ticket: str


@dataclass(frozen=True, kw_only=True)
class IssueTicket(Command):
    service = "shipment"
    done = TicketIssued
    trip: UUID
    seat: str


@dataclass(frozen=True, kw_only=True)
class TripData:
    trip: UUID
    nights: int


class Trip(Saga):
    name, version, deadline, data = "trip", 1, minutes(15), TripData
    steps = [
        compensatable("hotel", BookHotel, undo=CancelHotel),
        compensatable("flight", BookFlight, undo=CancelFlight),
        pivot("charge", ChargeTrip),
        retriable("ticket", IssueTicket),
    ]


class Holiday(Saga):
    """Without a pivot: its end is its point of no return."""

    name, version, deadline, data = "holiday", 1, minutes(15), TripData
    steps = [
        compensatable("hotel", BookHotel, undo=CancelHotel),
        compensatable("flight", BookFlight, undo=CancelFlight),
    ]


def trip_data(nights: int = 3) -> TripData:
    return TripData(trip=uuid4(), nights=nights)
