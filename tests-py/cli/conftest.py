"""The command, called in this process against a fresh database."""

from __future__ import annotations

import itertools
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.command import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the developer's own, and a folder without an embedded server."""
    for name in os.environ:
        if name.startswith("PG") or name in ("NO_COLOR", "QUANTUMFLOW_DSN"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def quantumflow(dsn: str) -> Command:
    """The command, with a fresh database."""
    return Command(dsn)


@pytest.fixture
def lost() -> Command:
    """The command, with nothing that says where a database is."""
    return Command(None)


@pytest.fixture
def define(quantumflow: Command) -> Callable[[dict[str, Any]], str]:
    """Defines a workflow; its slug."""

    def deploy(definition: dict[str, Any]) -> str:
        slug: str = quantumflow.json("flow", "deploy", "-", input=json.dumps(definition))[
            "workflow_slug"
        ]
        return slug

    return deploy


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Writes a Python module into the current folder; its name."""
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(Path.cwd()))])
    names = []

    def write(text: str) -> str:
        name = f"app_{next(_numbers)}"
        tmp_path.joinpath(f"{name}.py").write_text(text)
        names.append(name)
        return name

    yield write
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def work_once(connection: psycopg.Connection[Any]) -> Callable[[], bool]:
    """Does what one claim hands over, as a worker would; whether there was anything."""

    def work() -> bool:
        done = connection.execute(
            """
            select quantumflow.complete_task(
              t.run_id, t.step_slug, t.task_index, to_jsonb(t.step_slug), t.lease_token)
            from quantumflow.claim_tasks(gen_random_uuid()) t
            """
        )
        return done.rowcount > 0

    return work
