"""Typed flows: type checkers compare a step's output with the next one's parameter, and they run.

mypy looks at typed_flows.py in make lint, where a mistake that is not found is an error.
"""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from client.typed_flows import Order, check, flow, listing
from quantumflow_client import Client, Flow, RunId
from support.server import REPOSITORY

FILE = Path(__file__).with_name("typed_flows.py")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_pyright_finds_what_mypy_finds(tmp_path: Path) -> None:
    options = {
        "include": [FILE.name],
        "extraPaths": [str(REPOSITORY / "python-client" / "src")],
        "pythonVersion": "3.10",
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": "error",
        "reportUnusedFunction": False,
        "reportUnknownMemberType": False,
        "reportUnknownVariableType": False,
    }
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(json.dumps(options))
    copy = tmp_path / FILE.name
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", str(settings)]
    copy.write_text(FILE.read_text("utf-8"))
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    copy.write_text(re.sub(r"  # type: ignore.*", "", FILE.read_text("utf-8")))
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    wrong = {
        i
        for i, line in enumerate(FILE.read_text("utf-8").splitlines(), 1)
        if "# type: ignore" in line
    }
    assert {int(line) for line in re.findall(r"\.py:(\d+):\d+ - error", found.stdout)} == wrong


def test_a_typed_flow_depends_on_what_its_defaults_say() -> None:
    steps = {step["name"]: step for step in flow.definition()["steps"]}
    assert {name: step.get("dependencies") for name, step in steps.items()} == {
        "check": None,
        "listing": ["check"],
        "tell": ["check", "listing"],
        "tell_many": ["listing"],
        "end": ["tell", "tell_many"],
    }
    assert [step.get("map_over") for step in steps.values()] == [
        None, None, "listing", "listing", None,
    ]  # fmt: skip


def test_a_typed_flow_runs(client: Client) -> None:
    client.deploy(flow)
    run_id = client.start_flow(flow, Order(Decimal("1.5"), ["ada", "bo", "c"]))
    client.poll_and_run(until_idle=True)
    found: object = client.wait(run_id, 60)
    assert found == {"end": None}


def test_wanted_of_another_flow_is_refused() -> None:
    other: Flow[Any, Any] = Flow("other")
    with pytest.raises(ValueError, match=r"wants check of typed_order\.check.*depends_on"):

        @other.step
        def use(was: Any = check.output) -> None: ...

    assert other.definition()["steps"] == []


def test_two_steps_cannot_be_mapped_over() -> None:
    with pytest.raises(ValueError, match="and maps over 'check'"):

        @flow.map(over="check")
        def use(name: str = listing.each) -> None: ...


def test_an_item_is_for_maps() -> None:
    with pytest.raises(TypeError, match="asks for 'item'"):

        @flow.step
        def use(name: str = listing.each) -> None: ...


def test_a_runs_id_is_a_uuid(client: Client) -> None:
    client.deploy(flow)
    run_id = client.start_flow(flow, Order(Decimal(1), []))
    assert isinstance(run_id, RunId)
    assert run_id == UUID(str(run_id))
    assert hash(run_id) == hash(UUID(str(run_id)))
    again = pickle.loads(pickle.dumps(run_id))
    assert again == run_id
    client.poll_and_run(until_idle=True)
    assert client.wait(again) == client.wait(UUID(str(run_id))) == client.wait(run_id)
