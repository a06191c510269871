"""Rates as an SVG picture: one line for each workload, one dot for each broker, on a log scale.

Owns the drawing, written by hand: no plotting library is needed. Refuses to measure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

WIDTH: Final = 900
LEFT: Final = 310
RIGHT: Final = 40
TOP: Final = 78
LINE: Final = 30
BOTTOM: Final = 44
COLOURS: Final = ("#0b6e4f", "#c8553d", "#5b6c9d", "#a8862c", "#7a4e8a")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the picture: a label, and the figure of each broker that has one."""

    label: str
    figures: dict[str, float]


def svg(title: str, unit: str, lines: Sequence[Line]) -> str:
    """Return the picture; lines without figures are left out."""
    lines = [line for line in lines if any(value > 0 for value in line.figures.values())]
    values = [value for line in lines for value in line.figures.values() if value > 0] or [1.0]
    low = math.floor(math.log10(min(values)))
    high = max(math.ceil(math.log10(max(values))), low + 1)
    height = TOP + LINE * len(lines) + BOTTOM
    names = list(dict.fromkeys(name for line in lines for name in line.figures))
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}

    def across(value: float) -> float:
        return LEFT + (math.log10(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"',
        ' font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="16" y="26" font-size="17" font-weight="bold">{escape(title)}</text>',
    ]
    for index, name in enumerate(names):
        x = LEFT + 130.0 * index
        parts.append(f'<circle cx="{x:.0f}" cy="48" r="6" fill="{colours[name]}"/>')
        parts.append(f'<text x="{x + 12:.0f}" y="53">{escape(name)}</text>')
    bottom = TOP + LINE * len(lines)
    for power in range(low, high + 1):
        x = across(10.0**power)
        parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{10.0**power:,.15g}</text>'
        )
    parts.append(f'<text x="{LEFT}" y="{bottom + 38}" fill="#555">{escape(unit)}, log scale</text>')
    for index, line in enumerate(lines):
        y = TOP + LINE * index + LINE / 2
        parts.append(f'<text x="{LEFT - 14}" y="{y + 5:.0f}" text-anchor="end">')
        parts.append(f"{escape(line.label)}</text>")
        parts.append(
            f'<line x1="{LEFT}" y1="{y:.0f}" x2="{WIDTH - RIGHT}" y2="{y:.0f}" stroke="#eee"/>'
        )
        for name, value in line.figures.items():
            if value > 0:
                parts.append(
                    f'<circle cx="{across(value):.1f}" cy="{y:.0f}" r="6" fill="{colours[name]}">'
                    f"<title>{escape(name)}: {value:,.0f}</title></circle>"
                )
    return "\n".join([*parts, "</svg>"]) + "\n"
