"""What commands take as arguments."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from celery_config.common.arguments import (
    parse_count,
    parse_counts,
    parse_days,
    parse_new_file,
    parse_path,
    parse_pattern,
    parse_port,
    parse_rate,
    parse_reason,
    parse_seconds,
    parse_text,
    parse_whole_number,
)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_whole_number, "0", 0),
        (parse_count, "7", 7),
        (parse_counts, "1,20", [1, 20]),
        (parse_port, "65535", 65535),
        (parse_seconds, "0", 0),
        (parse_seconds, "1.5", 1.5),
        (parse_days, "0.5", 0.5),
        (parse_rate, "0.1", 0.1),
        (parse_reason, "a fire", "a fire"),
    ],
)
def test_what_is_taken(parse: Callable[[str], Any], text: str, value: Any) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "texts"),
    [
        (parse_whole_number, ["-1", "1_0", "\uff11", "", "1.5", "9" * 5000]),
        (parse_count, ["0", "-1"]),
        (parse_counts, ["", "1,", "1,0"]),
        (parse_port, ["65536", "99999", "-1"]),
        (parse_seconds, ["-1", "nan", "inf", "1e400", "", "soon", "1_0", "\uff11", " 5 ", "1e1"]),
        (parse_days, ["-1", "nan", "99999999999", "1e400"]),
        (parse_rate, ["0", "nan"]),
        (parse_reason, ["", " ", "\u200b", "\u3164", "\udcff"]),
        (parse_text, ["\udcff"]),
        (parse_path, ["", " ", "/tmp/a\udcff.csv"]),
        (parse_new_file, ["", "/tmp/a\udcff.csv"]),
        (parse_pattern, ["(", "\udcff"]),
    ],
)
def test_what_is_refused(parse: Callable[[str], Any], texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(ArgumentTypeError):
            parse(text)


def test_a_file_that_can_be_written(tmp_path: Path) -> None:
    assert parse_new_file(str(tmp_path / "a.csv")) == tmp_path / "a.csv"


@pytest.mark.parametrize(("name", "told"), [("", "is a folder"), ("no/a.csv", "there is no folder")])
def test_a_file_that_cannot_be_written(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(ArgumentTypeError, match=told):
        parse_new_file(str(tmp_path / name))
