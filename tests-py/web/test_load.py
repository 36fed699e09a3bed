"""Fifty viewers on a few connections, a map of 100,000, a graph of 300 steps, much history."""

from __future__ import annotations

import http.client
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from quantumflow_client.page.facts import read
from quantumflow_client.page.render import page
from support.browser import TOKEN, Site
from support.waiting import wait_until
from web.sites import Visitor
from web.test_site import ASKS, Engine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.long


@pytest.fixture
def engine(dsn: str) -> Iterator[Engine]:
    made = Engine(dsn)
    yield made
    made.connection.close()


def enter(host: str) -> str:
    """The cookie of one who has come in."""
    connection = http.client.HTTPConnection(host)
    connection.request("GET", f"/?token={TOKEN}")
    cookie = connection.getresponse().getheader("set-cookie") or ""
    connection.close()
    return cookie.partition(";")[0]


def test_fifty_look_at_a_run_live_over_four_connections(dsn: str, engine: Engine) -> None:
    engine.define(ASKS)
    run_id = engine.one("select quantumflow.start_flow('asks')")
    told: list[str] = []

    def look(host: str) -> None:
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request("GET", f"/runs/{run_id}/live", headers={"Cookie": enter(host)})
        told.append(connection.getresponse().read().decode())
        connection.close()

    with Site(dsn) as site:
        host = site.url.removeprefix("http://")
        lookers = [threading.Thread(target=look, args=(host,)) for _ in range(50)]
        for looker in lookers:
            looker.start()
        wait_until(lambda: site.house.lookers == 50, what="fifty who look")
        used = engine.one(
            "select count(*) from pg_stat_activity where datname = current_database() "
            "and pid <> pg_backend_pid()"
        )
        assert used <= 4
        engine.one("select quantumflow.send_signal(%s, 'approved')", run_id)
        engine.one("select settled from quantumflow.settle()")
        for looker in lookers:
            looker.join(30)
        assert len(told) == 50
        assert all('data: "It has ended."' in text for text in told)
        assert site.house.lookers == 0


@pytest.mark.timeout(400)
def test_a_map_of_100_000_is_a_page(dsn: str, engine: Engine) -> None:
    engine.define({"slug": "large", "steps": [{"name": "each", "type": "map"}]})
    run_id = engine.one(
        "select quantumflow.start_flow('large', "
        "(select jsonb_agg(n) from generate_series(1, 100000) n))"
    )
    for _ in range(10):
        engine.one(
            "select count(*) from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(t) || "
            "'{\"output\": 1}') from quantumflow.claim_tasks(gen_random_uuid(), 1000) t))"
        )
    found = read(lambda call: call.on(engine.connection), run_id)
    text = page(found)
    assert len(found.attempts) == 100_000
    assert len(text) < 200_000
    visitor = Visitor(dsn, patience=60)
    began = time.monotonic()
    assert len(visitor.get(f"/runs/{run_id}")) < 200_000
    assert time.monotonic() - began < 30
    assert len(visitor.get(f"/runs/{run_id}/steps/each")) < 300_000
    visitor.close()


def test_a_graph_of_300_steps_is_a_page(dsn: str, engine: Engine) -> None:
    steps: list[dict[str, Any]] = [
        {"name": f"s{n}", "dependencies": [f"s{m}" for m in range(max(n - 3, 0), n)]}
        for n in range(300)
    ]
    engine.define({"slug": "wide", "steps": steps})
    run_id = engine.one("select quantumflow.start_flow('wide')")
    visitor = Visitor(dsn, patience=60)
    for path in (f"/runs/{run_id}", "/flows/wide"):
        assert "s299" in visitor.get(path)
    visitor.close()
