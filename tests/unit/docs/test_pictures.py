"""The pictures are those that the pages show, small, and of the pages as they are. New ones: `./manage.py pictures`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image, ImageSequence

from docs import picture_list
from docs.picture_list import FILM, FILM_SECONDS, FOLDER, PICTURES, ROOT, STILLS, Picture
from tests.unit.docs.test_pages import PAGES

EACH = pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.file)


def find_shown(page: Path) -> dict[Path, str]:
    """The pictures that a page shows, each with its alternative text; a `<source>` has that of its `<img>`."""
    text = page.read_text(encoding="utf-8")
    found = [(link, alt) for alt, link in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", text)]
    for tag in re.findall(r"<(?:img|source) [^>]*>", text):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        found.append((attributes.get("src") or attributes["srcset"], attributes.get("alt", "")))
    return {(page.parent / link).resolve(): alt for link, alt in found}


@EACH
def test_it_has_the_size_that_it_shall_have(picture: Picture) -> None:
    with Image.open(picture.path) as image:
        assert image.size == picture.pixels
    assert picture.path.stat().st_size <= picture.most_bytes


@EACH
def test_its_pages_show_it(picture: Picture) -> None:
    assert [page for page in picture.pages if picture.path not in find_shown(ROOT / page)] == []


@EACH
def test_its_words_are_still_those_of_the_pages(picture: Picture) -> None:
    """Otherwise a button, a heading or a status was renamed, and the picture shows the old one."""
    words = picture_list.read_words()[picture.file]
    assert picture_list.find_stale(words, picture_list.find_texts(picture)) == []
    assert picture.words <= {*words}


def test_a_renamed_button_is_found() -> None:
    words, texts = picture_list.read_words()[FILM.file], picture_list.find_texts(FILM)
    assert picture_list.find_stale(words, texts - {"Place"}) == ["Place"]


def read_frames(picture: Picture) -> list[float]:
    """How many seconds each frame is shown."""
    with Image.open(picture.path) as image:
        return [
            frame.info.get("duration", 0) / 1000 for frame in ImageSequence.Iterator(image) if frame.load()
        ]


def test_the_moving_one_has_frames_enough_and_seconds_not_too_many() -> None:
    frames = read_frames(FILM)
    assert FILM_SECONDS[0] <= sum(frames) <= FILM_SECONDS[1]
    assert len(frames) > 3 * sum(frames)


@pytest.mark.parametrize("picture", STILLS, ids=lambda picture: picture.file)
def test_the_others_stand_still(picture: Picture) -> None:
    assert len(read_frames(picture)) == 1


def test_there_are_no_others() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {"words.json", *(each.file for each in PICTURES)}
    assert {*picture_list.read_words()} == {each.file for each in PICTURES}
    shown = {picture for page in PAGES for picture in find_shown(page)}
    assert shown == {each.path for each in PICTURES}


def test_each_is_told_in_words() -> None:
    """For who does not see it; of a `<picture>` its `<img>` tells it."""
    told = {path: text for page in PAGES for path, text in find_shown(page).items() if text}
    assert {each.file for each in PICTURES if len(told.get(each.path, "").split()) < 8} == set()


def test_the_readme_shows_a_still_one_to_whom_motion_disturbs() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (sources,) = re.findall(r"<picture>(.*?)</picture>", readme, re.DOTALL)
    assert 'media="(prefers-reduced-motion: reduce)" srcset="docs/pictures/order-desk.webp"' in sources
    assert 'src="docs/pictures/order-desk-moving.webp"' in sources
