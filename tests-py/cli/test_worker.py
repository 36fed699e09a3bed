"""quantumflow worker: the handlers of a module."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from quantumflow_client import Client
from quantumflow_client.cli import worker
from support.command import ONE_STEP, Command

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

APP = """
from quantumflow_client import Client, Flow

flow = Flow("py")

@flow.step
def first(run):
    return run["n"] + 1

other = Flow("other", queue="slow")

@other.step
def alone(): ...

flows = [flow, other]

client = Client("host=/nonexistent")

@client.command("only")
def only(ctx): ...

unconnected = Client()
unconnected.command("only")(only)
empty = Client()
"""


@pytest.fixture
def app(module: Callable[[str], str]) -> str:
    return module(APP)


def test_a_flow_is_served(quantumflow: Command, app: str) -> None:
    quantumflow("worker", f"{app}:flow", "--deploy", "--until-idle")
    run_id = quantumflow.start("py", '{"n": 1}')
    said = quantumflow.json("worker", f"{app}:flow", "--until-idle")
    assert said == {"tasks_run": 1}
    assert quantumflow.json("status", run_id)["output"] == {"first": 2}


def test_nothing_is_deployed_unless_asked(quantumflow: Command, app: str) -> None:
    quantumflow("setup")
    quantumflow("worker", f"{app}:flow", "--until-idle")
    assert quantumflow.lines("flow", "list") == []


def test_flows_are_served_together(
    quantumflow: Command, app: str, connection: psycopg.Connection[Any]
) -> None:
    words = ("worker", f"{app}:flows", "--until-idle")
    quantumflow(*words, "--deploy", "--name", "me", "--lease", 60, "--concurrency", 2)
    row = connection.execute("select name, commands, queues from quantumflow.workers").fetchone()
    assert row == ("me", ["other.alone", "py.first"], ["quantum_flow_queue", "slow"])
    quantumflow.start("py", '{"n": 1}')
    quantumflow.start("other")
    assert quantumflow.json(*words, "--queue", "slow") == {"tasks_run": 1}
    assert quantumflow(*words).stdout == "Ran 1 tasks.\n"


def test_it_listens_where_it_is_told_to(
    quantumflow: Command, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[object] = []

    def work(_client: Client, *, listen: object, **_: object) -> int:
        said.append(listen)
        return 0

    monkeypatch.setattr(Client, "poll_and_run", work)
    for words in [], ["--listen", "host=past"], ["--no-listen"]:
        quantumflow("worker", f"{app}:flow", *words)
    assert said == [True, "host=past", False]


def test_once_claims_once(quantumflow: Command, app: str) -> None:
    quantumflow("worker", f"{app}:flow", "--deploy", "--until-idle")
    for n in range(3):
        quantumflow.start("py", f'{{"n": {n}}}')
    once = quantumflow.json("worker", f"{app}:flow", "--once", "--concurrency", 1)
    assert once["tasks_run"] < 3


def test_a_client_is_served(
    quantumflow: Command, app: str, define: Callable[[dict[str, Any]], str], dsn: str
) -> None:
    define(ONE_STEP)
    run_id = quantumflow.start("one")
    quantumflow("worker", f"{app}:client", "--until-idle", expect=5)
    said = quantumflow.json("worker", f"{app}:client", "--until-idle", "--dsn", dsn)
    assert said == {"tasks_run": 1}
    quantumflow("status", run_id)
    quantumflow.start("one")
    assert quantumflow.json("worker", f"{app}:unconnected", "--until-idle") == {"tasks_run": 1}


@pytest.mark.parametrize(
    ("source", "words", "says"),
    [
        ("client", ["--deploy"], "without flows to deploy: client.register(flow)"),
        ("empty", [], "no handler"),
        ("APP", [], "has no 'APP'"),
        ("__name__", [], "neither a Client nor a Flow"),
        ("flow", ["--concurrency", "0"], "--concurrency"),
    ],
)
def test_it_says_what_cannot_be_served(
    source: str, words: list[str], says: str, lost: Command, app: str
) -> None:
    lost.environment["QUANTUMFLOW_DSN"] = "host=/nonexistent"
    error = lost.error("worker", f"{app}:{source}", *words, expect=2)
    assert says in error["message"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import quantumflow_client\n1 / 0\n", "ZeroDivisionError: division by zero ("),
        ("def f(:\n", "SyntaxError: "),
        ("import nosuch_package\n", "ModuleNotFoundError: No module named 'nosuch_package' ("),
    ],
)
def test_a_module_that_cannot_be_imported_is_named(
    text: str, says: str, lost: Command, module: Callable[[str], str]
) -> None:
    name = module(text)
    message = lost.error("worker", f"{name}:client", expect=2)["message"]
    assert message.startswith(f"module {name!r} cannot be imported: {says}")
    assert f"{name}.py, line " in message
    assert "\n" not in message


def test_a_clients_flows_are_deployed(
    quantumflow: Command, module: Callable[[str], str], dsn: str
) -> None:
    name = module(APP + "\nclient.register(flow)\nclient.register(other)\n")
    words = ("worker", f"{name}:client", "--dsn", dsn, "--deploy", "--until-idle")
    assert quantumflow.json(*words) == {"tasks_run": 0}
    assert {line["workflow_slug"] for line in quantumflow.lines("flow", "list")} == {"py", "other"}


def test_it_wants_a_module_and_an_object(lost: Command) -> None:
    assert "MODULE:OBJECT" in lost.error("worker", "app", expect=2)["message"]


def test_logs_can_be_json() -> None:
    record = logging.makeLogRecord(
        {"msg": "%s ran", "args": ("it",), "levelname": "INFO", "run_id": 7}
    )
    line = json.loads(worker._JsonFormatter().format(record))
    assert line.pop("time").endswith("Z")
    assert line == {"level": "INFO", "logger": None, "message": "it ran", "run_id": 7}
