"""quantumflow metrics: what Prometheus' own parser reads of it; the alerts and the dashboard."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from quantumflow_client._exposition import text_of
from quantumflow_client._sql.looking import Metric
from support.command import Command
from support.server import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MONITORING = REPOSITORY / "docs" / "monitoring"


@pytest.fixture(scope="module")
def text(module_dsn: str) -> str:
    """What the command prints of a database in which everything has happened."""
    with psycopg.connect(module_dsn, autocommit=True) as connection:
        flow = {"slug": "w", "steps": [{"name": "a", "command": "w.a"}]}
        connection.execute("select quantumflow.define_flow(%s)", [json.dumps(flow)])
        connection.execute("select quantumflow.start_flow('w') from generate_series(1, 4)")
        claim = "quantumflow.claim_tasks(gen_random_uuid()) t"
        task = "t.run_id, t.step_slug, t.task_index"
        connection.execute(
            f"select quantumflow.complete_task({task}, '1', t.lease_token) from {claim}".encode()
        )
        connection.execute(
            f"select quantumflow.fail_task({task}, 'no', t.lease_token, retryable => false) "
            f"from {claim}".encode()
        )
        connection.execute(f"select {task} from {claim}".encode())
        connection.execute(
            "select quantumflow.register_worker(gen_random_uuid(), 'me', '{w.a}', "
            "'{quantum_flow_queue}', slots => 4, running => 1)"
        )
        connection.execute(
            "select next_at from quantumflow.schedule_flow('nightly', 'w', '0 3 * * *')"
        )
        connection.execute("select quantumflow.pause_command('w.a')")
        # What has ended is counted at once.
        connection.execute("select quantumflow._make_counting()")
        connection.execute(
            "update quantumflow._counting set next_to = quantumflow._uuid_v7(), writers = '{}'"
        )
        connection.execute("select quantumflow._count_runs(quantumflow._now())")
    return Command(module_dsn)("metrics").stdout


@pytest.fixture(scope="module")
def labels(text: str) -> dict[str, set[str]]:
    """The labels that each name has."""
    found: dict[str, set[str]] = {"up": {"job"}}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_it_is_read_by_prometheus_own_parser(text: str, labels: dict[str, set[str]]) -> None:
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert len(families) == text.count("# TYPE ") == text.count("# HELP ")
    assert "quantumflow_tasks" in families
    ended = {s.labels["status"]: s.value for s in families["quantumflow_runs_ended"].samples}
    assert (ended["completed"], ended["failed"]) == (1, 1)
    took = families["quantumflow_run_seconds"]
    assert took.type == "histogram"
    buckets = [s.value for s in took.samples if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 2
    assert all(
        f.documentation and f.type in ("gauge", "counter", "histogram") for f in families.values()
    )


def test_what_others_have_named_is_a_label_whatever_it_is() -> None:
    evil = 'a"b\\c\nd{}e\u202e'
    rows = [
        Metric("x_total", "counter", {"of": evil}, 3, "Of\nx \\ y."),
        Metric("y", "gauge", {}, float("inf"), "Y."),
        Metric("x_total", "counter", {"of": "z"}, 0.1, "Of x."),
    ]
    x, y = text_string_to_metric_families(text_of(rows))
    assert [(s.labels["of"], s.value) for s in x.samples] == [(evil, 3), ("z", 0.1)]
    assert y.samples[0].value == float("inf")


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression of the alerts and the dashboard, with its name."""
    name = ""
    lines = iter((MONITORING / "alerts.yml").read_text("utf-8").splitlines())
    for line in lines:
        if found := re.match(r"\s+- alert: (\w+)", line):
            name = found[1]
        if found := re.match(r"(\s+)expr: (.*)", line):
            said = found[2]
            if said == ">":
                said = " ".join([next(lines).strip(), next(lines).strip()])
            yield name, said
    for panel in json.loads((MONITORING / "dashboard.json").read_text("utf-8"))["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("name", "expression"), list(expressions()))
def test_each_expression_asks_for_what_there_is(
    name: str, expression: str, labels: dict[str, set[str]]
) -> None:
    asked = re.findall(r"\b(quantumflow_\w+|up)\b(?:\{([^}]*)\})?", expression)
    assert asked
    for metric, selectors in asked:
        assert metric in labels, f"{metric} is no metric"
        wanted = set(re.findall(r"(\w+)\s*!?=~?\"", selectors))
        assert wanted <= labels[metric], f"{metric} has no {wanted - labels[metric]}"
    grouped = {
        word
        for words in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)
        for word in re.split(r",\s*", words)
    }
    for metric, _ in asked:
        assert grouped <= labels[metric] | {"le"}, f"{metric} has no {grouped}"


def test_prometheus_takes_the_rules_and_they_fire(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("there is no promtool: apt-get install prometheus, and the rules are tried")
    alerts = MONITORING / "alerts.yml"
    case = {
        "rule_files": [str(alerts)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": series, "values": values}
                    for series, values in {
                        'quantumflow_tasks{queue="q",command="c",state="due"}': "5x60",
                        'quantumflow_command_workers{queue="q",command="c"}': "0x60",
                        'quantumflow_tasks{queue="q",command="d",state="due"}': "5x60",
                        'quantumflow_command_workers{queue="q",command="d"}': "2x60",
                        'quantumflow_oldest_due_seconds{queue="q",command="d"}': "1000x60",
                        'quantumflow_runs_ended_total{workflow="w",status="failed"}': "0+1x60",
                        'quantumflow_runs_ended_total{workflow="w",status="completed"}': "0+4x60",
                        'quantumflow_runs_ended_total{workflow="v",status="failed"}': "0+1x60",
                        'quantumflow_runs_ended_total{workflow="v",status="completed"}': "0+40x60",
                        'quantumflow_attempts_total{command="c",outcome="lost"}': "0+1x60",
                        'quantumflow_workers{state="silent"}': "1x60",
                        "quantumflow_counted_seconds_ago": "1000x60",
                        'quantumflow_schedule_missed_total{schedule="s"}': "0x30 1x30",
                        "quantumflow_oldest_transaction_seconds": "4000x60",
                        'quantumflow_paused_seconds{of="queue",name="q"}': "90000x60",
                        'up{job="quantumflow"}': "0x60",
                    }.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": "45m",
                        "exp_samples": [
                            {"labels": f'{{alertname="{name}"}}', "value": 1}
                            for name, _ in expressions()
                            if name.startswith("Quantumflow")
                        ],
                    }
                ],
            }
        ],
    }
    file = tmp_path / "alerts_test.yml"
    file.write_text(json.dumps(case))  # JSON is YAML
    for command in (["check", "rules", str(alerts)], ["test", "rules", str(file)]):
        done = subprocess.run(["promtool", *command], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_served(module_dsn: str, text: str) -> None:
    command = [sys.executable, "-m", "quantumflow_client.cli", "metrics", "--listen", ":0"]
    environment = os.environ | {"QUANTUMFLOW_DSN": module_dsn, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            with urllib.request.urlopen(url) as answer:
                assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
                assert b"quantumflow_info{" in answer.read()
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(url.replace("/metrics", "/"))
        finally:
            process.terminate()


def test_json_is_a_line_each(module_dsn: str, text: str) -> None:
    lines = Command(module_dsn)("metrics", "--json").stdout.splitlines()
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert {"name", "kind", "labels", "value", "help"} == set(rows[0])
