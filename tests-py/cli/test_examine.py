"""quantumflow doctor, check, sweep, setup, version."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import make_conninfo

import quantumflow_client
from quantumflow_client import _extension
from quantumflow_client._sql.installation import Finding
from quantumflow_client.cli import examine
from support.command import ONE_STEP, Command

if TYPE_CHECKING:
    import pytest

    from quantumflow_client.embedded import EmbeddedServer

Define = Callable[[dict[str, Any]], str]


def states(findings: list[Any]) -> dict[str, str]:
    assert all(set(f) == {"subject", "state", "fact", "advice"} for f in findings)
    return {finding["subject"]: finding["state"] for finding in findings}


def test_a_healthy_database(quantumflow: Command) -> None:
    quantumflow("setup")
    # Servers for tests are fast, not safe.
    unsafe = {"fsync"}
    found = states(quantumflow.lines("doctor", expect=1))
    assert {subject for subject, state in found.items() if state == "error"} == unsafe
    assert {"connection", "server", "pgmq", "quantumflow", "rights", "client"} <= set(found)
    assert found["connection"] == found["quantumflow"] == found["client"] == "ok"


def test_a_warning_is_an_error_if_one_is_strict(
    quantumflow: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def examine_(app: object, findings: list[Finding]) -> int:
        findings.append(Finding("workers", "warning", "none", "start one"))
        return 0

    monkeypatch.setattr(examine, "_examine", examine_)
    assert "start one" in quantumflow("doctor").stdout
    quantumflow("doctor", "--strict", expect=1)


def test_a_missing_queue(quantumflow: Command) -> None:
    findings = quantumflow.lines("doctor", expect=1)
    assert states(findings)["queue quantum_flow_queue"] == "error"
    said = quantumflow("doctor", expect=1).stdout
    assert "What to do:\n" in said
    assert "  queue quantum_flow_queue: Run: select quantumflow.setup()" in said


def test_a_database_of_another_version(
    quantumflow: Command, connection: psycopg.Connection[Any]
) -> None:
    connection.execute(
        "create or replace function quantumflow.version() returns text "
        "language sql immutable return '0.0.1'"
    )
    assert states(quantumflow.lines("doctor", expect=1))["client"] == "warning"


def test_a_database_without_quantumflow(
    new_database: Callable[..., str], server: EmbeddedServer, lost: Command
) -> None:
    lost.environment["QUANTUMFLOW_DSN"] = dsn = server.dsn(new_database())
    findings = lost.lines("doctor", expect=5)
    assert states(findings) == {
        "connection": "ok",
        "server": "ok",
        "pgmq": "warning",
        "quantumflow": "error",
    }
    with psycopg.connect(dsn) as connection:
        connection.execute("create extension pgmq")
    assert states(lost.lines("doctor", expect=5))["pgmq"] == "ok"


def test_a_database_without_quantumflow_on_a_server_without_its_files(
    new_database: Callable[..., str], server: EmbeddedServer, lost: Command
) -> None:
    dsn = server.dsn(new_database())
    *_, finding = lost.lines("doctor", "--dsn", dsn, expect=5)
    assert finding["advice"] == "Run: quantumflow install."
    bare = make_conninfo(dsn, options="-c extension_control_path=$system")
    *_, finding = lost.lines("doctor", "--dsn", bare, expect=5)
    assert "files of pgmq and quantumflow. Run: pip install pgmq==" in finding["advice"]
    with psycopg.connect(dsn) as connection:
        connection.execute("create extension pgmq")
    *_, finding = lost.lines("doctor", "--dsn", bare, expect=5)
    assert "Run: quantumflow install --plain. Or" in finding["advice"]


def test_a_server_that_cannot_be_reached(lost: Command) -> None:
    (finding,) = lost.lines("doctor", "--dsn", "host=/nonexistent", expect=5)
    assert (finding["subject"], finding["state"]) == ("connection", "error")
    assert "/nonexistent" in finding["fact"]
    assert "Start the server" in finding["advice"]
    (finding,) = lost.lines("doctor", expect=5)
    assert finding["fact"] == "no database is named"


def test_a_password_is_not_shown(quantumflow: Command, dsn: str) -> None:
    said = quantumflow("doctor", "--dsn", f"{dsn} password=secret", expect=1).stdout
    assert "connection" in said
    assert "secret" not in said


def test_broken_rules_are_found(
    quantumflow: Command, define: Define, connection: psycopg.Connection[Any]
) -> None:
    broken, whole = [quantumflow.start(define(ONE_STEP)) for _ in range(2)]
    assert quantumflow("check").stdout == "Every rule holds.\n"
    connection.execute(
        "update quantumflow.workflow_runs set remaining_steps = 7 where id = %s", [broken]
    )
    (problem,) = quantumflow.lines("check", expect=1)
    assert (problem["rule"], problem["run_id"]) == (3, broken)
    assert set(problem) == {
        *("rule", "run_id", "step_slug", "task_index", "queue", "message_id", "problem", "remedy")
    }
    assert broken in quantumflow("check", broken, expect=1).stdout
    assert quantumflow.lines("check", whole) == []


def test_a_sweep_says_what_it_did(quantumflow: Command, define: Define) -> None:
    define(ONE_STEP)
    done = {row["action"]: row["tasks"] for row in quantumflow.lines("sweep")}
    assert done == {"lapsed leases": 0, "unfinished ends": 0, "schedules": 0}
    assert "lapsed leases" in quantumflow("sweep").stdout


def test_setup_makes_queues_once(quantumflow: Command) -> None:
    assert quantumflow.json("setup") == {"setup": "ready; created quantum_flow_queue"}
    assert quantumflow("setup").stdout == "ready\n"


def test_versions(quantumflow: Command, lost: Command) -> None:
    assert quantumflow.json("version") == {
        "client": quantumflow_client.__version__,
        "database": _extension.version(),
    }
    assert "database  " in quantumflow("version").stdout
    assert lost("--version").stdout == f"{quantumflow_client.__version__}\n"
