"""A nightly import: pages are fetched side by side, some may be gone, one table is made of them.

quantumflow worker pipeline:client
quantumflow schedule add nightly imports '0 3 * * *' --time-zone Europe/Berlin
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from quantumflow_client import Client, Context, Flow, RetryAfter


@dataclass
class Source:
    """Where to begin, and how many pages there are."""

    name: str = "shop"
    pages: int = 3


@dataclass
class Page:
    """What was on a page."""

    number: int
    prices: list[int] = field(default_factory=list)


@dataclass
class Table:
    """What came of it."""

    source: str
    rows: int
    total: int


client = Client()
imports = Flow("imports", input=Source, timeout=60, resources=["http"])


@client.resource
def http() -> Any:
    """Something with `get(url)`, which returns an object with `status` and `prices`."""
    raise NotImplementedError("connect to the shop here")


@imports.step
def pages(run: Source = imports.input) -> list[int]:
    """The pages to fetch."""
    return list(range(1, run.pages + 1))


@imports.map(max_attempts=4, retry_delay=timedelta(minutes=5), tolerate="25%")
def fetch(http: Any, number: int = pages.each, run: Source = imports.input) -> Page:
    """Fetch a page; who is asked to come back later does."""
    answer = http.get(f"{run.name}/{number}")
    if answer.status == 429:
        raise RetryAfter(600)
    return Page(number, answer.prices)


@imports.step
def store(
    ctx: Context,
    fetched: Sequence[Page | None] = fetch.output,
    run: Source = imports.input,
) -> Table:
    """Write what there is, exactly once, with the step's completion."""
    prices = [price for page in fetched if page is not None for price in page.prices]
    with ctx.transaction() as connection:
        connection.execute("delete from prices where source = %s", [run.name])
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into prices (source, price) values (%s, %s)",
                [(run.name, price) for price in prices],
            )
    return Table(run.name, len(prices), sum(prices))


client.register(imports)
