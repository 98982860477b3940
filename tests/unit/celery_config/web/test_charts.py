"""Stacked bars: within the picture, each part as high as its number."""

from __future__ import annotations

from itertools import pairwise

from celery_config.web.charts import HEIGHT, LEAST_HEIGHT, WIDTH, stack_bars


def test_the_highest_bar_fills_the_height_and_the_others_compare() -> None:
    full, half = stack_bars([[("completed", 80), ("undone", 20)], [("completed", 50)]])
    assert sum(shape.height for shape in full) == HEIGHT
    assert half[0].height == HEIGHT / 2
    assert full[0].y + full[0].height == HEIGHT
    assert full[1].y + full[1].height == full[0].y


def test_bars_stand_side_by_side_within_the_picture() -> None:
    shapes = [bar[0] for bar in stack_bars([[("completed", 1)]] * 7)]
    assert all(one.x + one.width <= other.x for one, other in pairwise(shapes))
    assert shapes[-1].x + shapes[-1].width <= WIDTH


def test_one_of_many_is_seen() -> None:
    (bar,) = stack_bars([[("completed", 10_000), ("undone", 1)]])
    assert bar[1].height == LEAST_HEIGHT
    assert bar[1].y >= 0


def test_without_numbers_nothing_is_drawn() -> None:
    assert stack_bars([[("completed", 0)], []]) == [[], []]
