"""docs/changing-flows.md: old and new code run side by side, and runs of both versions go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from quantumflow_client import Client
from support.waiting import wait_until

Connect = Callable[..., psycopg.Connection[Any]]

RUNS = 5
OLD, NEW = 1, 2

PEOPLE = ["ada", "bob"]
FIRST: dict[str, Any] = {
    **dict.fromkeys(("adding", "removing", "renaming", "moving", "shaping", "arguing"), 7),
    "widening": PEOPLE,
    "defaulting": 7,
}


class Code:
    """A worker process that deploys what its code has, and serves it."""

    def __init__(self, name: str, dsn: str, folder: Path) -> None:
        self.log = folder / f"{name}.log"
        command = [sys.executable, "-m", "quantumflow_client.cli", "worker", "--json"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, f"{name}_code:client", "--deploy", "--name", name],
                cwd=Path(__file__).parent,
                env=os.environ | {"QUANTUMFLOW_DSN": dsn},
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.log.read_text()


@pytest.fixture(scope="module")
def dsn(module_dsn: str) -> str:
    """One database for all tests here: each of them has a flow of its own."""
    return module_dsn


@pytest.fixture(scope="module")
def code(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Code]]:
    """Both, each of which has deployed its flows: the old code first, and again at last."""
    folder = tmp_path_factory.mktemp("code")
    running: dict[str, Code] = {}

    def begin(name: str) -> None:
        running[name] = Code(name, dsn, folder)
        with psycopg.connect(dsn, autocommit=True) as connection:
            wait_until(
                lambda: (
                    connection.execute(
                        "select from quantumflow.workers where name = %s and stopped_at is null",
                        [name],
                    ).rowcount
                    or running[name].process.poll() is not None
                ),
                what=f"the {name} code works",
            )
        assert running[name].process.poll() is None, running[name].log.read_text()

    try:
        begin("old")
        with Client(dsn) as client:
            for flow, input in FIRST.items():  # noqa: A001
                client.start_flow(flow, input)  # which freezes the first version
        begin("new")
        running["old"].stop()
        begin("old")
        yield running
    finally:
        for process in running.values():
            process.process.kill()
            process.process.wait()


@pytest.fixture(scope="module")
def client(dsn: str, code: dict[str, Code]) -> Iterator[Client]:
    assert code
    with Client(dsn) as client:
        yield client


def outputs(client: Client, flow: str, version: int, input: Any = 7) -> Any:  # noqa: A002
    """What some runs of a version come to, which is the same for all of them."""
    runs = [client.start_flow(flow, input, version=version) for _ in range(RUNS)]
    found = [client.wait(run, timeout=60) for run in runs]
    assert all(output == found[0] for output in found), found
    return found[0]


def test_a_step_is_added(client: Client) -> None:
    assert outputs(client, "adding", OLD) == {"ship": "old ships 7"}
    assert outputs(client, "adding", NEW) == {"ship": "new ships 7 for 6"}


def test_a_step_is_removed(client: Client) -> None:
    assert outputs(client, "removing", OLD) == {"ship": "old ships 7 for 6"}
    assert outputs(client, "removing", NEW) == {"ship": "new ships 7"}


def test_a_step_and_the_parameter_for_its_output_are_renamed(client: Client) -> None:
    assert outputs(client, "renaming", OLD) == {"ship": "old ships 7"}
    assert outputs(client, "renaming", NEW) == {"ship": "new ships 7"}


def test_another_command_is_another_codes(client: Client) -> None:
    assert outputs(client, "moving", OLD) == {"ship": "old ships 7"}
    assert outputs(client, "moving", NEW) == {"ship": "new ships 7"}


def test_an_output_of_another_shape_has_other_commands(client: Client) -> None:
    assert outputs(client, "shaping", OLD) == {"bill": "old bills 7"}
    assert outputs(client, "shaping", NEW) == {"bill": "new bills 7"}


def test_args_are_those_of_the_runs_version(client: Client) -> None:
    assert outputs(client, "arguing", OLD) == {"charge": "7 euros"}
    assert outputs(client, "arguing", NEW) == {"charge": "700 cents"}


def test_a_single_step_becomes_a_map(client: Client) -> None:
    assert outputs(client, "widening", OLD, PEOPLE) == {"notify": "old notifies ada, bob"}
    assert outputs(client, "widening", NEW, PEOPLE) == {
        "notify": ["new notifies ada", "new notifies bob"]
    }


def test_a_rollback_makes_the_old_version_current_and_runs_of_the_new_go_on(
    client: Client, connect: Connect, dsn: str
) -> None:
    def definition(version: int) -> Any:
        query = "select quantumflow.get_flow('moving', %s)"
        found = connect(dsn).execute(query, [version]).fetchone()
        assert found is not None
        return found[0]

    newer = client.start_flow("moving", 7)
    assert client.deploy(definition(OLD), rollback=True).current_version == OLD
    older = client.start_flow("moving", 7)
    assert client.wait(newer, timeout=60) == {"ship": "new ships 7"}
    assert client.wait(older, timeout=60) == {"ship": "old ships 7"}
    assert client.deploy(definition(OLD)).current_version == OLD
    assert client.deploy(definition(NEW)).current_version == NEW
    assert client.deploy(definition(OLD)).current_version == NEW


def test_a_parameter_with_a_default_serves_both(client: Client) -> None:
    assert outputs(client, "defaulting", OLD) == {"ship": "new ships 7 for None"}
    assert outputs(client, "defaulting", NEW) == {"ship": "new ships 7 for 6"}


def test_what_was_left_to_other_code_was_said_once(code: dict[str, Code], client: Client) -> None:
    for _ in range(2):
        outputs(client, "adding", OLD)
    said = [
        line["message"]
        for line in code["new"].lines()
        if line["level"] == "WARNING" and "step 'ship' of flow 'adding'" in line["message"]
    ]
    assert len(said) <= 1, "or none, if the old code was always there first"
    assert [line for line in code["new"].lines() if line["level"] == "ERROR"] == []


def test_old_code_that_begins_again_leaves_the_new_version_current(
    client: Client, dsn: str, code: dict[str, Code]
) -> None:
    with psycopg.connect(dsn) as connection:
        current = connection.execute("select current_version from quantumflow.list_flows()")
        assert {version for (version,) in current} == {NEW}
    said = [line["message"] for line in code["old"].lines()]
    assert any(
        "adding: this is version 1, and version 2, which is newer, stays current." in message
        for message in said
    ), said
    assert client.wait(client.start_flow("moving", 7), timeout=60) == {"ship": "new ships 7"}
