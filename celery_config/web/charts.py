"""Stacked bars as shapes for an SVG: the template writes them, CSS colours and outlines them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, GAP = 600.0, 120.0, 0.15
LEAST_HEIGHT = 2.0
"""One of a thousand is seen, too."""


@dataclass(frozen=True)
class Shape:
    """A rectangle, and the CSS class of what it stands for."""

    kind: str
    x: float
    y: float
    width: float
    height: float


def stack_bars(bars: Sequence[Sequence[tuple[str, int]]]) -> list[list[Shape]]:
    """Return the rectangles of each bar, from below; the highest bar fills the height.

    Args:
        bars: the kinds and numbers of each bar, the lowest first.
    """
    most = max((sum(count for _, count in bar) for bar in bars), default=0)
    if not most:
        return [[] for _ in bars]
    step = WIDTH / len(bars)
    drawn = []
    for number, bar in enumerate(bars):
        top, shapes = HEIGHT, []
        for kind, count in bar:
            if count:
                height = max(LEAST_HEIGHT, HEIGHT * count / most)
                top = max(0.0, top - height)
                shapes.append(
                    Shape(
                        kind,
                        round(step * (number + GAP / 2), 2),
                        round(top, 2),
                        round(step * (1 - GAP), 2),
                        round(height, 2),
                    )
                )
        drawn.append(shapes)
    return drawn
