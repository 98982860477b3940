"""What follows from the services' declarations: the files are current, and what is wrong with them is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from celery_config.errors import DefinitionError
from compose.generated.parts import fill
from compose.generated.run import FILES, find_differing
from compose.local.environment import ROOT


def test_the_files_are_current() -> None:
    assert find_differing() == {}, "run `./manage.py services --write`"


@pytest.mark.parametrize("name", FILES)
def test_a_part_that_was_deleted_by_hand_is_missed(tmp_path: Path, name: str) -> None:
    file = tmp_path / Path(name).name
    file.write_text((ROOT / name).read_text().replace("# end of services", "", 1))
    with pytest.raises(DefinitionError, match="has the parts"):
        fill(file, FILES[name]())


def test_lines_written_by_hand_into_a_part_are_replaced(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("a:\n  # services: names\n  by hand\n  # end of services\nb:\n")
    assert (
        fill(file, {"names": ["- one", ""]})
        == "a:\n  # services: names\n  - one\n\n  # end of services\nb:\n"
    )
