from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from pipeline import Source, client, imports

from quantumflow_client.testing import Rehearsal


@dataclass
class Answer:
    status: int = 200
    prices: list[int] = field(default_factory=list)


@dataclass
class Shop:
    """Answers by page, the last of each again and again; a page without any is gone."""

    answers: dict[str, list[Answer]]

    def get(self, url: str) -> Answer:
        left = self.answers[url]
        return left.pop(0) if len(left) > 1 else left[0]


@pytest.fixture
def stage() -> Iterator[Rehearsal]:
    with Rehearsal(client) as stage:
        stage.connection.execute("create table prices (source text, price int)")
        stage.deploy(imports)
        yield stage


def stored(stage: Rehearsal) -> list[int]:
    rows = stage.connection.execute("select price from prices order by price").fetchall()
    return [price for (price,) in rows]


def test_pages_become_a_table_and_a_busy_shop_is_asked_later(stage: Rehearsal) -> None:
    stage.provide(
        http=Shop({"shop/1": [Answer(429), Answer(prices=[1, 2])], "shop/2": [Answer(prices=[3])]})
    )
    outcome = stage.run(imports, Source(pages=2))
    assert outcome.output == {"store": {"source": "shop", "rows": 3, "total": 6}}
    assert stored(stage) == [1, 2, 3]
    assert timedelta(minutes=10) <= outcome.took < timedelta(minutes=11)


def test_a_page_in_four_may_be_gone(stage: Rehearsal) -> None:
    stage.provide(http=Shop({f"shop/{n}": [Answer(prices=[n])] for n in (1, 2, 3)}))
    outcome = stage.run(imports, Source(pages=4))
    assert (outcome.status, outcome.gave_up) == ("completed", 1)
    assert stored(stage) == [1, 2, 3]
    assert outcome.steps["fetch"].attempts == 3 + 4


def test_it_runs_every_night(stage: Rehearsal) -> None:
    stage.provide(http=Shop({f"shop/{n}": [Answer(prices=[n])] for n in (1, 2, 3)}))
    stage.client.schedule("nightly", imports, "0 3 * * *", time_zone="Europe/Berlin")
    stage.advance(timedelta(days=3))
    assert stage.client.schedules()[0].last_status == "completed"
    assert stored(stage) == [1, 2, 3]
