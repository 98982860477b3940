"""One deliberately broken variant of the code, and which tests must see it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDERS = {
    "unit": "tests/unit",
    "shared": "tests/service/celery_config",
    "order": "tests/service/order",
    "payment": "tests/service/payment",
    "inventory": "tests/service/inventory",
    "shipment": "tests/service/shipment",
    "acceptance": "tests/acceptance",
}


class Unplantable(Exception):
    """The text to be replaced does not occur exactly once; the code has changed, so must the variant."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """`old`, which occurs once in `file`, becomes `new`.

    Args:
        name: its name on the command line.
        breaks: what it does wrong, in words.
        rule: the protocol's rule that it breaks, or the service whose promise it is.
        suite: whose tests see it: a key of `FOLDERS`.
        tests: pytest's node ids below that folder.
    """

    name: str
    breaks: str
    rule: str
    file: str
    old: str
    new: str
    suite: str
    tests: tuple[str, ...]

    @property
    def selection(self) -> tuple[str, ...]:
        """The tests, as pytest is told."""
        return tuple(f"{FOLDERS[self.suite]}/{test}" for test in self.tests)

    def planted_in(self, root: Path) -> str:
        """The text of `file` below `root` with the fault in it.

        Raises:
            Unplantable: `old` does not occur exactly once.
        """
        text = (root / self.file).read_text(encoding="utf-8")
        if (count := text.count(self.old)) != 1:
            raise Unplantable(f"{self.name}: what it replaces occurs {count} times in {self.file}")
        return text.replace(self.old, self.new)
