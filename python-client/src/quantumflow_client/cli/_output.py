"""What is printed: JSON that stays the same, or text that fits a terminal."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from quantumflow_client._runs import moment_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quantumflow_client._sql.definitions import WorkflowVersion

_COLOURS = {
    "completed": "green",
    "started": "cyan",
    "paused": "yellow",
    "failed": "red",
    "cancelled": "yellow",
    "ok": "green",
    "warning": "yellow",
    "error": "red",
}

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ESCAPES = re.compile(r"(\x1b\[[0-9;]*m)")


def as_json(value: Any, *, indent: int | None = None) -> str:
    """The JSON text of a value: rows as objects, times in ISO 8601, lengths of time in seconds."""
    return json.dumps(value, default=_plain, indent=indent)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def one_line(value: object) -> str:
    """A value as text without line breaks, nor anything else that would move a terminal's cursor.

    Workers and callers choose these texts, and a terminal obeys what it is sent.
    """
    text = "" if value is None else str(value)
    return _CONTROL.sub(_escaped, text)


def deployed(version: WorkflowVersion) -> str:
    """What a definition has come to."""
    if version.version != version.current_version:
        return (
            f"{version.workflow_slug}: this is version {version.version}, and version "
            f"{version.current_version}, which is newer, stays current."
        )
    ran = f", and has run since {when(version.frozen_at)}" if version.frozen_at else ""
    return f"{version.workflow_slug}: version {version.version} is current{ran}."


def lines_of(value: object) -> str:
    """A text with its line breaks, but nothing else that would move a terminal's cursor."""
    return "\n".join(one_line(line) for line in str(value).splitlines())


def _escaped(found: re.Match[str]) -> str:
    return {"\n": " ", "\t": " ", "\r": " "}.get(found[0], f"\\u{ord(found[0]):04x}")


def when(moment: datetime | str | None) -> str:
    """A moment in the local time zone, to the second."""
    if isinstance(moment, str):
        moment = moment_of(moment)
    if moment is None:
        return ""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def coloured(word: str, width: int = 0) -> str:
    """A word, in its colour if it is a status, padded."""
    shown = click.style(word, fg=_COLOURS[word]) if word in _COLOURS else word
    return shown + " " * (width - len(word))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of aligned columns. A line longer than the terminal is cut."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]
    lines = [
        [coloured(word, width) for word, width in zip(row, widths, strict=True)]
        for row in [list(head), *cells]
    ]
    return fitted("  ".join(line).rstrip() for line in lines)


def fitted(lines: Iterable[str]) -> list[str]:
    """The lines, cut to the width of the terminal, if there is one."""
    if not sys.stdout.isatty():
        return list(lines)
    width, _ = terminal_size()
    return [cut(line, width) for line in lines]


def terminal_size() -> tuple[int, int]:
    """The terminal's columns and lines; 80 and 24 where it does not say."""
    size = shutil.get_terminal_size()
    return size.columns or 80, size.lines or 24  # Python 3.10 passes a terminal's 0 on


def cut(line: str, width: int) -> str:
    """The line's first characters, colours not counted."""
    shown, left = [], width
    for part in _ESCAPES.split(line):
        if part.startswith("\x1b"):
            shown.append(part)
        else:
            shown.append(part if len(part) <= left else part[: max(left - 1, 0)] + "~"[:left])
            left -= min(len(part), left)
    return "".join(shown)
