"""`python -m tests.fonts`: make the admin's fonts, of those icons and letters alone that its pages show.

Unfold brings all icons of Material Symbols, and Inter with the letters of many languages: 750 kB. Ours have the same
paths and go before them. Letters that Inter then lacks are those of a font of the machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from pathlib import Path
from typing import Any

import unfold
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

ROOT = Path(__file__).parents[1]
UNFOLD = Path(unfold.__file__).parent
ICONS = Path("static/unfold/fonts/material-symbols/Material-Symbols-Outlined.woff2")
TEXTS = Path("static/unfold/fonts/inter")
WEIGHTS = ("Regular", "Medium", "SemiBold", "Bold")
LATIN = {
    *range(0x20, 0x180), *range(0x2010, 0x2040), *range(0x20A0, 0x20C0), *range(0x2190, 0x219A), 0x2026, 0x2122, 0x2212
}  # fmt: skip
OURS = ROOT / "celery_config/web"
OUR_FOLDERS = ("celery_config", "order_project", "payment_app", "inventory_app", "shipment_app")
WORD = re.compile(r"[a-z][a-z0-9_]+")
ICON = re.compile(r'icon"?[=:] ?"([a-z0-9_]+)"')
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"


def main() -> None:
    glyphs = read_icons(TTFont(UNFOLD / ICONS))
    chosen = [glyphs[icon] for icon in find_icons(set(glyphs))]
    write_part(ICONS, Options(layout_features=["*"], layout_closure=False), text=LETTERS, glyphs=chosen)
    for weight in WEIGHTS:
        write_part(TEXTS / f"Inter-{weight}.woff2", Options(layout_features=["kern", "tnum"]), unicodes=LATIN)


def write_part(name: Path, options: Options, **kept: Any) -> None:
    font, options.hinting, options.flavor = TTFont(UNFOLD / name), False, "woff2"
    subsetter = Subsetter(options)
    subsetter.populate(**kept)
    subsetter.subset(font)
    font.flavor = "woff2"
    (OURS / name).parent.mkdir(parents=True, exist_ok=True)
    font.save(OURS / name)


def read_icons(font: Any) -> dict[str, str]:
    """The glyph of each icon of a font: an icon's name is a ligature."""
    letters = {glyph: chr(code).lower() for code, glyph in font.getBestCmap().items()}
    return {
        "".join(letters[glyph] for glyph in (first, *ligature.Component)): ligature.LigGlyph
        for lookup in font["GSUB"].table.LookupList.Lookup
        for table in lookup.SubTable
        for first, ligatures in getattr(table, "ExtSubTable", table).ligatures.items()
        for ligature in ligatures
    }


def find_icons(known: Set[str]) -> list[str]:
    """The icons that a page may show: an icon whose name is a word of a template or script, or an `icon=` of code."""
    return sorted(known & {word for found in find_words() for word in found})


def find_words() -> Iterable[list[str]]:
    for path in UNFOLD.rglob("*"):
        if path.suffix in (".html", ".py", ".js"):
            yield WORD.findall(path.read_text())
    for path in (path for folder in OUR_FOLDERS for path in (ROOT / folder).rglob("*")):
        if path.suffix in (".html", ".js"):
            yield WORD.findall(path.read_text())
        elif path.suffix == ".py":
            yield ICON.findall(path.read_text())


if __name__ == "__main__":
    main()
