"""What services declare of themselves: a fault is said with its file, and nothing is guessed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from celery_config.common.declarations import FILE, Role, read_services
from celery_config.errors import DefinitionError
from compose.local.environment import ROOT

TRIPS = 'name = "trips"\nport = 8001\nrole = "orchestrator"\n'
HOTEL = 'name = "hotel"\nport = 8002\n'


def declare(folder: Path, **files: str) -> Path:
    for package, text in files.items():
        (folder / package).mkdir()
        (folder / package / FILE).write_text(text)
    return folder


def test_services_are_found_in_the_order_of_their_ports(tmp_path: Path) -> None:
    more = 'outside = "the hotels"\nkeeps_copies_of = ["trips"]\n[serves]\ntrips = ["GET rooms"]\n'
    found = read_services(declare(tmp_path, hotel_app=HOTEL + more, a_trips=TRIPS))
    assert [*found] == ["trips", "hotel"]
    trips, hotel = found.values()
    assert (trips.role, trips.package, hotel.role) == (Role.ORCHESTRATOR, "a_trips", Role.PARTICIPANT)
    assert (hotel.keeps_copies_of, hotel.serves) == (("trips",), {"trips": ("GET rooms",)})
    assert hotel.settings_module == "hotel_app.config.settings"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name = ", "hotel_app/service.toml is no TOML"),
        ("port = 8002", "name is missing"),
        ('name = "hotel"', "port is missing"),
        (HOTEL + 'rolle = "participant"', "the declaration has no rolle"),
        (HOTEL + 'role = "boss"', "'boss' is none of orchestrator, participant"),
        (HOTEL + 'keeps_copies_of = "trips"', "'trips' is no list"),
        (HOTEL + "keeps_copies_of = [1]", "is no list of texts"),
        (HOTEL + "[containers]\nsecret = []", "[containers] has no secret"),
        (HOTEL + "[containers.settings]\nA = 1", "A: 1 is no str"),
        (HOTEL.replace("hotel", "Hotel"), "'Hotel' is no name of a service"),
        (HOTEL.replace("hotel", "operator"), "'operator' is no name of a service"),
        (HOTEL.replace("hotel", "import"), "'import' is no name of a service"),
        (HOTEL.replace("8002", "80"), "80 is none of"),
        (HOTEL.replace("8002", "true"), "True is none of"),
        (HOTEL.replace("8002", "8001"), "Two services have the port 8001"),
        (HOTEL.replace("hotel", "trips"), "Two services have the name trips"),
        (HOTEL + 'role = "orchestrator"', "here: trips_app, hotel_app"),
        (HOTEL + 'keeps_copies_of = ["trip"]', "names trip, and no service has this name"),
        (HOTEL + '[serves]\ntrip = ["GET rooms"]', "names trip, and no service has this name"),
    ],
)
def test_a_fault_is_said(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DefinitionError, match=re.escape(told)):
        read_services(declare(tmp_path, trips_app=TRIPS, hotel_app=text))


def test_the_command_line_says_it_without_a_traceback(tmp_path: Path) -> None:
    declare(tmp_path, hotel_app=HOTEL)
    done = subprocess.run(
        [sys.executable, "manage.py", "help"],
        cwd=ROOT, env={"SERVICES_FOLDER": str(tmp_path), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert 'One service has role = "orchestrator" in its service.toml; here: none' in done.stderr
