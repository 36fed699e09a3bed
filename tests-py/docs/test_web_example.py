"""The guide's web application does what the text beside it says."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from docs import a_web_framework
from docs.a_web_framework import FastAPI, HTTPException
from docs.pages import blocks
from quantumflow_client import Client, ConnectionsBusy
from support.server import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

FLOW = {"slug": "thumbnails", "steps": [{"name": "listing"}]}


@pytest.fixture
def app(dsn: str, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """The application of the page, for a database that has its flow."""
    monkeypatch.setitem(sys.modules, "fastapi", a_web_framework)
    monkeypatch.setenv("QUANTUMFLOW_DSN", dsn)
    page = REPOSITORY / "docs" / "guide.md"
    (example,) = (block for block in blocks(page) if "FastAPI(" in block.text)
    names: dict[str, Any] = {}
    exec("import os\nimport psycopg\n" + example.text, names)
    with Client(dsn) as client:
        client.deploy(FLOW)
    app = names["app"]
    assert isinstance(app, FastAPI)
    return app


def started(app: FastAPI, key: str) -> Any:
    return app.asked("POST", "/albums", album={"folder": "a"}, idempotency_key=key)


def test_it_starts_a_run_and_shows_it(app: FastAPI) -> None:
    async def requests() -> None:
        async with app.lifespan():
            album = await started(app, "one")
            assert await started(app, "one") == album
            shown = await app.asked("GET", "/albums/{run_id}", run_id=album["id"])
            assert shown == {"status": "started", "output": None, "error_message": None}
            with pytest.raises(HTTPException) as caught:
                await app.asked("GET", "/albums/{run_id}", run_id=uuid4())
            assert caught.value.status_code == 404
            assert "does not exist" in str(caught.value.detail)

    asyncio.run(requests())


def test_it_waits_for_a_slow_database_no_longer_than_it_says(
    app: FastAPI, connect: Callable[..., psycopg.Connection[Any]]
) -> None:
    """Who has a connection gives up after its time, who has none before; then all is as it was."""

    async def requests() -> None:
        async with app.lifespan():
            with connect(autocommit=False) as held:
                held.execute("lock table quantumflow.workflow_runs")
                calls = [started(app, f"slow-{i}") for i in range(6)]
                answers = await asyncio.gather(*calls, return_exceptions=True)
                held.rollback()
            refusals = [answer for answer in answers if isinstance(answer, HTTPException)]
            assert [refusal.status_code for refusal in refusals] == [503] * 6
            reasons = [refusal.__cause__ for refusal in refusals]
            late = (asyncio.TimeoutError, ConnectionsBusy)
            assert all(isinstance(reason, late) for reason in reasons)
            assert sum(isinstance(reason, ConnectionsBusy) for reason in reasons) == 2
            await asyncio.gather(*(started(app, f"slow-{i}") for i in range(6)))

    asyncio.run(requests())


def test_it_starts_while_its_database_is_away(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def requests() -> None:
        monkeypatch.setenv("QUANTUMFLOW_DSN", "host=/nowhere dbname=none")
        async with app.lifespan():
            with pytest.raises(HTTPException) as caught:
                await started(app, "one")
            assert caught.value.status_code == 503
            assert caught.value.headers == {"Retry-After": "2"}

    asyncio.run(requests())
