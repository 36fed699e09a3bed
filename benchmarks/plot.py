"""Plots as plain SVG: bars with their spread, and lines."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from html import escape

from .results import Figure

_STYLE = 'font-family="system-ui, sans-serif" font-size="13" stroke-width="2"'
_INK, _GRID, _OURS, _OTHERS = "#0f172a", "#cbd5e1", "#2563eb", "#94a3b8"
_COLOURS = ("#2563eb", "#dc2626", "#64748b", "#16a34a", "#d97706")
_LEFT, _WIDTH, _ROW, _TOP = 270, 760, 26, 34


def bars(title: str, unit: str, figures: Mapping[str, Figure], ours: Collection[str]) -> str:
    """Horizontal bars on a logarithmic scale, ours in colour; a line shows the spread."""
    top = math.log10(max(figure.high for figure in figures.values()))
    # Room for the shortest bar, too.
    bottom = math.floor(math.log10(min(figure.low for figure in figures.values())) - 0.1)
    height = _TOP + len(figures) * _ROW + 4

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - 80) * (math.log10(value) - bottom) / (top - bottom)

    parts = [_text(0, 16, title, weight="bold")]
    for n in range(bottom, math.floor(top) + 1):
        parts += [
            _line(x(10**n), _TOP - 4, x(10**n), height, _GRID),
            _text(x(10**n), height + 16, _power(n), anchor="middle"),
        ]
    parts.append(_text(_WIDTH, height + 32, f"{unit}, logarithmic", anchor="end"))
    for n, (name, figure) in enumerate(figures.items()):
        y = _TOP + n * _ROW
        colour = _OURS if name in ours else _OTHERS
        parts += [
            _text(_LEFT - 8, y + 14, name, anchor="end"),
            _element("rect", x=_LEFT, y=y, width=x(figure.value) - _LEFT, height=18, fill=colour),
            _line(x(figure.low), y + 9, x(figure.high), y + 9, _INK),
            _text(x(figure.high) + 6, y + 14, number(figure.value)),
        ]
    return _svg(height + 40, parts)


def lines(
    title: str, across: str, up: str, traces: Mapping[str, Sequence[tuple[float, float]]]
) -> str:
    """Lines over a common horizontal axis; both axes begin at zero."""
    left, bottom, right = 70, 280, _WIDTH - 20
    most_x = max(x for points in traces.values() for x, _ in points) or 1
    most_y = max(y for points in traces.values() for _, y in points) or 1

    def at(x: float, y: float) -> tuple[float, float]:
        return left + (right - left) * x / most_x, bottom - (bottom - 50) * y / most_y

    parts = [_text(0, 16, title, weight="bold")]
    for value in _ticks(most_x):
        x, _ = at(value, 0)
        parts += [
            _line(x, 50, x, bottom, _GRID),
            _text(x, bottom + 18, f"{value:g}", anchor="middle"),
        ]
    for value in _ticks(most_y):
        _, y = at(0, value)
        parts += [
            _line(left, y, right, y, _GRID),
            _text(left - 8, y + 4, f"{value:g}", anchor="end"),
        ]
    parts += [
        _text(right, bottom + 36, across, anchor="end"),
        _text(left, 42, up),
    ]
    for n, (name, points) in enumerate(traces.items()):
        colour = _COLOURS[n % len(_COLOURS)]
        path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in points)
        parts += [
            _element("polyline", points=path, fill="none", stroke=colour, stroke_width="1.5"),
            _text(left + 20 + 150 * n, bottom + 36, name, fill=colour, weight="bold"),
        ]
    return _svg(bottom + 46, parts)


def number(value: float) -> str:
    """A number with three digits that matter."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def _ticks(most: float) -> Iterator[float]:
    """Round values up to the highest, four to ten of them."""
    step = 10.0 ** math.floor(math.log10(most))
    step = next(s for s in (step, step / 2, step / 5) if most / s >= 4 or s == step / 5)
    yield from (n * step for n in range(math.floor(most / step + 1e-9) + 1))


def _power(n: int) -> str:
    return f"{10**n:,}" if n >= 0 else f"{10**n:.{-n}f}"


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return _element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=colour)


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    weight: str = "normal",
    fill: str = _INK,
) -> str:
    start = _element("text", x=x, y=y, text_anchor=anchor, font_weight=weight, fill=fill)
    return f"{start.removesuffix('/>')}>{escape(text)}</text>"


def _element(tag: str, **attributes: float | str) -> str:
    shown = (
        f'{name.replace("_", "-")}="{value if isinstance(value, str) else f"{value:.1f}"}"'
        for name, value in attributes.items()
    )
    return f"<{tag} {' '.join(shown)}/>"


def _svg(height: float, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {_STYLE}>\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )
