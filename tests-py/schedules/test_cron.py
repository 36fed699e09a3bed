"""The times of cron texts, beside cronsim's, which keeps to what Debian's cron does.

Where the two differ, and docs/decisions.md says why, the test asks otherwise:

- An asterisk in the minutes makes all of a text run by elapsed time in cronsim, as in Debian's
  cron; here it depends on the hours alone. So cronsim is given "0-59" in its place.
- Where the hours are not fixed, each minute that the clock shows counts. Cronsim steps by whole
  hours and days, and misses some where a clock is changed by half an hour or at midnight. So near a
  change each minute is looked at.
"""

from __future__ import annotations

import contextlib
import random
import zoneinfo
from datetime import datetime, timedelta, timezone
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

import psycopg
import pytest
from cronsim import CronSim, CronSimError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantumflow_client.embedded import EmbeddedServer

pytestmark = pytest.mark.filterwarnings("error")

SEED = 2
FEW, MANY = 500, 10_000
WANTED = 5
ZONES = [
    "UTC",
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Havana",
    "America/New_York",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Beirut",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Chatham",
]
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
FIRST, LAST = datetime(2005, 1, 1, tzinfo=timezone.utc), datetime(2037, 1, 1, tzinfo=timezone.utc)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


class Texts:
    """Cron texts at random."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def text(self) -> str:
        months = self._field(1, 12, MONTHS) if self.random.random() < 0.4 else "*"
        weekdays = self._field(0, 6, WEEKDAYS) if self.random.random() < 0.5 else "*"
        fields = [self._field(0, 59), self._field(0, 23), self._field(1, 31), months, weekdays]
        return " ".join(fields)

    def moment(self, zone: str) -> datetime:
        """Any moment, or one near a change of clocks."""
        if (changes := changes_of(zone)) and self.random.random() < 0.6:
            return self.random.choice(changes) + self.random.randint(-1440, 2880) * MINUTE
        return FIRST + timedelta(seconds=self.random.randint(0, 10**9))

    def _field(self, low: int, high: int, names: list[str] | None = None) -> str:
        if self.random.random() < 0.35:
            return "*"
        parts = self.random.choice([1, 1, 1, 2, 3])
        return ",".join(self._part(low, high, names) for _ in range(parts))

    def _part(self, low: int, high: int, names: list[str] | None) -> str:
        first = self.random.randint(low, high - 1)
        last = self.random.randint(first + 1, high)
        step = self.random.randint(1, 5)
        name = names[first - low] if names and self.random.random() < 0.5 else str(first)
        kinds = [name, f"{name}-{last}", f"*/{step}", f"{first}-{last}/{step}", f"{first}/{step}"]
        return self.random.choice([name, *kinds])


@cache
def changes_of(zone: str) -> list[datetime]:
    """The days on which the clocks of a zone are changed."""
    place = zoneinfo.ZoneInfo(zone)
    days = [FIRST + n * DAY for n in range((LAST - FIRST).days)]
    offsets = [day.astimezone(place).utcoffset() for day in days]
    return [day for day, a, b in zip(days, offsets, offsets[1:], strict=False) if a != b]


def expected(text: str, zone: str, after: datetime) -> list[datetime]:
    """The first times after a moment."""
    minutes, hours, *days = text.split()
    is_fixed = not hours.startswith("*")
    if is_fixed and minutes.startswith("*"):
        minutes = f"0-59{minutes[1:]}"
    place = timezone.utc if zone == "UTC" else zoneinfo.ZoneInfo(zone)
    theirs = CronSim(" ".join([minutes, hours, *days]), after.astimezone(place))
    is_near = any(after - 2 * DAY < change < after + 4 * DAY for change in changes_of(zone))
    if is_near and not is_fixed:
        return list(islice(_shown(theirs, zone, after), WANTED))
    later = (at.astimezone(timezone.utc) for at in theirs)
    return list(islice((at for at in later if at > after), WANTED))


def _shown(theirs: CronSim, zone: str, after: datetime) -> Iterator[datetime]:
    """The minutes of four days that the clock shows and the text names."""
    place = zoneinfo.ZoneInfo(zone)
    first = after.replace(second=0, microsecond=0)
    for n in range(1, 4 * 1440):
        at = (first + n * MINUTE).astimezone(place)
        if (
            at.minute in theirs.minutes
            and at.hour in theirs.hours
            and at.month in theirs.months
            and theirs.match_day(at.date())
        ):
            yield at.astimezone(timezone.utc)


@pytest.fixture(scope="module")
def asked(module_dsn: str, server: EmbeddedServer) -> Iterator[psycopg.Connection]:
    """A connection to ask; Python's clocks change when the server's do."""
    (folder,) = (path for path in server.bindir.parent.rglob("timezone") if path.is_dir())
    zoneinfo.reset_tzpath(to=[str(folder)])
    zoneinfo.ZoneInfo.clear_cache()
    with psycopg.connect(module_dsn, autocommit=True) as connection:
        yield connection
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param(FEW, id="few"),
        pytest.param(MANY, id="many", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
def test_the_times_are_those_of_another_library(asked: psycopg.Connection, cases: int) -> None:
    for n in range(cases):
        texts = Texts(f"{SEED}/{n}")
        text, zone = texts.text(), texts.random.choice(ZONES)
        after = texts.moment(zone)
        asks = "select array(select quantumflow.next_times(%s, %s, %s, %s))"
        with contextlib.suppress(CronSimError):
            wanted = expected(text, zone, after)
            found = asked.execute(asks, (text, zone, WANTED, after)).fetchone()
            assert found is not None
            # What is seldom may lie beyond what the other one looks at.
            assert found[0][: len(wanted)] == wanted, f"{text!r} in {zone} after {after}: case {n}"
            continue
        with pytest.raises(psycopg.Error, match="never comes"):
            asked.execute(asks, (text, zone, WANTED, after))
