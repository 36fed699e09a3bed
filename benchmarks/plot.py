"""Plots as plain SVG: bars with their spread, and lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from .results import Figure

_STYLE = 'font-family="system-ui, sans-serif" font-size="13" stroke-width="2"'
_INK, _OURS, _OTHERS = "#0f172a", "#2563eb", "#94a3b8"
_COLOURS = ("#2563eb", "#dc2626", "#64748b", "#16a34a", "#d97706")
_LEFT, _WIDTH, _ROW = 240, 760, 26


def bars(title: str, unit: str, figures: Mapping[str, Figure]) -> str:
    """Horizontal bars on a logarithmic scale, the longest first; a line shows the spread."""
    found = sorted(figures.items(), key=lambda item: -item[1].value)
    top = max(figure.high for figure in figures.values())
    bottom = 10 ** math.floor(math.log10(min(figure.low for figure in figures.values()) * 0.99))
    span = math.log10(top / bottom)

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - 90) * math.log10(value / bottom) / span

    parts = [_text(0, 16, f"{title} ({unit}, logarithmic)", weight="bold")]
    for n, (name, figure) in enumerate(found):
        y = 34 + n * _ROW
        colour = _OURS if name.startswith("quantumflow") else _OTHERS
        parts += [
            _text(_LEFT - 8, y + 14, name, anchor="end"),
            _element("rect", x=_LEFT, y=y, width=x(figure.value) - _LEFT, height=18, fill=colour),
            _element("line", x1=x(figure.low), x2=x(figure.high), y1=y + 9, y2=y + 9, stroke=_INK),
            _text(x(figure.high) + 6, y + 14, number(figure.value)),
        ]
    return _svg(34 + len(found) * _ROW, parts)


def lines(
    title: str, across: str, up: str, traces: Mapping[str, Sequence[tuple[float, float]]]
) -> str:
    """Lines over a common horizontal axis; both axes begin at zero."""
    height = 260
    right = max(x for points in traces.values() for x, _ in points) or 1
    top = max(y for points in traces.values() for _, y in points) or 1
    parts = [
        _text(0, 16, title, weight="bold"),
        _text(60, height + 20, f"0 to {number(right)} {across}"),
        _text(0, 40, f"{number(top)} {up}"),
        _element("path", d=f"M60 46 V{height} H{_WIDTH - 10}", stroke=_INK, fill="none"),
    ]
    for n, (name, points) in enumerate(traces.items()):
        colour = _COLOURS[n % len(_COLOURS)]
        path = " ".join(
            f"{60 + (_WIDTH - 70) * x / right:.1f},{height - (height - 46) * y / top:.1f}"
            for x, y in points
        )
        parts += [
            _element("polyline", points=path, fill="none", stroke=colour),
            _text(_WIDTH - 10, 20 + 16 * n, name, anchor="end", fill=colour),
        ]
    return _svg(height + 30, parts)


def number(value: float) -> str:
    """A number with three digits that matter."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


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
