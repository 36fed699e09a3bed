"""In a real kernel of Jupyter, whose thread has an event loop that runs, cells do what they say."""

from __future__ import annotations

import json
import os
import site
import subprocess
import venv
from pathlib import Path

import pytest

from support.server import REPOSITORY

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

_DEFINE = """
from quantumflow_client import AsyncClient, Client, Flow, testing

client = Client()
flow = Flow("noted")

@flow.step
def first(run):
    return run * 2

@flow.step(depends_on=[first])
async def second(first):
    return first + 1

client.deploy(flow)
"""
_AWAIT = """
async with AsyncClient() as other:
    assert (await other.status(run_id))['status'] == 'completed'
"""
_CELLS = [
    "client = None",
    _DEFINE,
    "run_id = client.start_flow(flow, 20)\nassert client.poll_and_run(until_idle=True) == 2",
    "assert client.wait(run_id, timeout=5) == {'second': 41}",
    # The cells of the decorators run again, as they do in a notebook.
    _DEFINE.replace("client = Client()\n", ""),
    "@flow.step\ndef first(run):\n    return run * 3",
    "@flow.step(depends_on=[first])\nasync def second(first):\n    return first + 2",
    "client.deploy(flow)\nrun_id = client.start_flow(flow, 20)",
    "assert client.poll_and_run(until_idle=True) == 2",
    "assert client.wait(run_id) == {'second': 62}",
    # An event loop runs in the cell's thread.
    _AWAIT,
    "assert testing.run(flow, 1, stubs={'first': 5}).output == {'second': 7}",
]


def test_a_notebooks_cells_run(tmp_path: Path, dsn: str) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "-qq", "ipykernel", "jupyter_client"]
    subprocess.run(install, check=True)
    found = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"],
        check=True,
        capture_output=True,
        text=True,
    )
    # What this environment has the kernel has, too.
    here = [*site.getsitepackages(), str(REPOSITORY / "python-client" / "src")]
    (Path(found.stdout.strip()) / "here.pth").write_text("\n".join(here))
    cells = tmp_path / "cells.json"
    cells.write_text(json.dumps(_CELLS))
    done = subprocess.run(
        [python, str(Path(__file__).with_name("notebook_cells.py")), str(cells)],
        check=False,
        env={
            **os.environ,
            "QUANTUMFLOW_DSN": dsn,
            "JUPYTER_PATH": str(tmp_path / "venv/share/jupyter"),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
