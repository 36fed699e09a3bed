"""Lengths of time, moments, numbers and texts of others, for people."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

MOST_TEXT = 20_000
"""How many characters of a value are shown at most."""

# Control characters but line breaks and tabs, and what turns the direction of a line.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u061c\u2028\u2029"
    r"\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """A text of somebody else's, with signs in place of characters that show as nothing."""
    return _UNSEEN.sub(lambda found: _sign(found[0]), text.replace("\r\n", "\n"))


def _sign(character: str) -> str:
    number = ord(character)
    if number < 0x20:
        return chr(0x2400 + number)
    return "\u2421" if number == 0x7F else f"\\u{number:04x}"


def length(value: timedelta | float | None) -> str:
    """A length of time, to be read at a glance; "" for None."""
    if value is None:
        return ""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds < 0:
        return f"-{length(-seconds)}"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    if seconds >= 99.95:
        return f"{seconds:.0f} s"
    if seconds >= 0.9995:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.0005 or seconds == 0 else "< 1 ms"


class Clock:
    """Writes moments, in one time zone.

    Args:
        zone: The zone; None: that of this process.
    """

    def __init__(self, zone: tzinfo | None = None) -> None:
        self._zone = zone

    def local(self, moment: datetime) -> datetime:
        """The moment, in the zone."""
        return moment.astimezone(self._zone)

    def from_local(self, naive: datetime) -> datetime:
        """The moment at which clocks in the zone show that."""
        return naive.astimezone() if self._zone is None else naive.replace(tzinfo=self._zone)

    def zone(self, moment: datetime) -> str:
        """What the zone is called then: UTC, CET, +0530."""
        name = self.local(moment).strftime("%Z")
        return "UTC" if name in {"", "UTC"} and self._offset(moment) == timedelta() else name

    def _offset(self, moment: datetime) -> timedelta | None:
        return self.local(moment).utcoffset()

    def moment(self, moment: datetime | None) -> str:
        """The day, the time to the second, and the zone; "" for None."""
        if moment is None:
            return ""
        return f"{self.local(moment):%Y-%m-%d %H:%M:%S} {self.zone(moment)}"

    def day(self, moment: datetime) -> str:
        """The day."""
        return f"{self.local(moment):%Y-%m-%d}"

    def time(self, moment: datetime, precise: bool = False) -> str:
        """The time of day, to the second, or to the millisecond."""
        text = f"{self.local(moment):%H:%M:%S}"
        return f"{text}.{moment.microsecond // 1000:03}" if precise else text

    def iso(self, moment: datetime) -> str:
        """The moment for machines."""
        return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds")


def number(value: float | None) -> str:
    """A number, with commas; "" for None."""
    return "" if value is None else f"{value:,}"


def size(value: int) -> str:
    """How many bytes, to be read at a glance."""
    amount = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if amount >= 10 or unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def plural(count: int, word: str) -> str:
    """So many of something."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def written(value: Any) -> str:
    """A value as JSON, a line for each part, as far as it is shown."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    if len(text) <= MOST_TEXT:
        return text
    return f"{text[:MOST_TEXT]}\n... of {len(text):,} characters"


def brief(value: Any, most: int = 60) -> str:
    """A value in a line: a text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text[: 4 * most].split())
    return text if len(text) <= most else f"{text[: most - 1]}\u2026"
