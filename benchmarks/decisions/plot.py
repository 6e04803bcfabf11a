"""The SVG of lost requests against false aborts, one curve a method, both axes logarithmic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchmarks.decisions.rows_rivals import Curve

WIDTH, HEIGHT = 860, 520
LEFT, RIGHT, TOP, BOTTOM = 70, 300, 50, 60
ACROSS = (0.001, 1.0)
UP = (1.0, 1000.0)
COLOURS = ("#0b6e4f", "#b3261e", "#e07a5f", "#3d5a98", "#7fa2d9", "#7b4ea3", "#b99adb", "#8a6d3b")
"""Told apart by brightness as well, and by the label at each curve's end."""


def svg(curves: Iterable[Curve], oracle: float, title: str) -> str:
    """Draw the curves; points off the axes are left out."""
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-labelledby="title" font-family="system-ui, sans-serif" font-size="12">'
        ),
        f'<title id="title">{title}</title>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="24" font-size="15" fill="#1a1a1a">{title}</text>',
        *_grid(),
        _level(oracle, "oracle that knows p, at 1%"),
    ]
    for number, curve in enumerate(curves):
        lines.extend(_curve(curve, COLOURS[number % len(COLOURS)], number))
    lines.append("</svg>")
    return "\n".join(lines) + "\n"


def _x(share: float) -> float:
    return _place(share, ACROSS, (LEFT, WIDTH - RIGHT))


def _y(lost: float) -> float:
    return _place(lost, UP, (HEIGHT - BOTTOM, TOP))


def _place(value: float, scale: tuple[float, float], room: tuple[float, float]) -> float:
    low, high = (math.log(end) for end in scale)
    part = (min(max(math.log(value), low), high) - low) / (high - low)
    return room[0] + part * (room[1] - room[0])


def _grid() -> Iterator[str]:
    for share in (0.001, 0.01, 0.1, 1.0):
        x = _x(share)
        yield f'<path d="M{x:.0f} {TOP}V{HEIGHT - BOTTOM}" stroke="#dddddd"/>'
        yield (
            f'<text x="{x:.0f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" '
            f'fill="#444444">{share:.1%}</text>'
        )
    for lost in (1, 10, 100, 1000):
        y = _y(lost)
        yield f'<path d="M{LEFT} {y:.0f}H{WIDTH - RIGHT}" stroke="#dddddd"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end" fill="#444444">{lost}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield (
        f'<text x="{middle:.0f}" y="{HEIGHT - 16}" text-anchor="middle" fill="#1a1a1a">'
        "false aborts of a service at its bound, in 30 min</text>"
    )
    yield (
        f'<text transform="translate(18 {HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle" '
        'fill="#1a1a1a">failed requests until the abort, mean</text>'
    )


def _level(lost: float, words: str) -> str:
    y = _y(lost)
    return (
        f'<path d="M{LEFT} {y:.0f}H{WIDTH - RIGHT}" stroke="#1a1a1a" stroke-dasharray="2 4"/>'
        f'<text x="{LEFT + 4}" y="{y - 4:.0f}" fill="#1a1a1a">{words}</text>'
    )


def _curve(curve: Curve, colour: str, number: int) -> Iterator[str]:
    points = sorted(
        (share, lost)
        for share, lost in zip(curve.false_aborts, curve.lost, strict=True)
        if share >= ACROSS[0] and lost > 0.0
    )
    drawn = " ".join(f"{_x(share):.1f},{_y(lost):.1f}" for share, lost in points)
    yield (
        f'<polyline points="{drawn}" fill="none" stroke="{colour}" '
        f'stroke-width="{3 if number == 0 else 1.8}"/>'
    )
    y = TOP + 14 + 22 * number
    x = WIDTH - RIGHT + 20
    yield f'<path d="M{x} {y}h18" stroke="{colour}" stroke-width="3"/>'
    yield f'<text x="{x + 26}" y="{y + 4}" fill="#1a1a1a">{curve.name}</text>'
