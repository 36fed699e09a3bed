"""The demo from its start to its end, and when it is tampered with, interrupted or killed."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from quantumflow_client.demo import queries, verify
from quantumflow_client.demo.census import census
from quantumflow_client.demo.progress import Screen
from quantumflow_client.demo.run import run_demo
from quantumflow_client.embedded import EmbeddedServer
from quantumflow_client.page.facts import Facts, read
from support.server import build_extension
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

Connection = psycopg.Connection[Any]

_RUN = """
import sys
sys.path.remove("")
from pathlib import Path
from quantumflow_client.demo.run import run_demo
sys.exit(run_demo(Path({directory!r}), kill=False, limit=5))
"""
_DEMO = [sys.executable, "-m", "quantumflow_client.cli", "demo"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of an embedded PostgreSQL, as on the machine of somebody who tries the demo."""
    build_extension()
    folder = tmp_path_factory.mktemp("demo") / ".quantumflow"
    yield folder
    EmbeddedServer(folder).destroy()


@pytest.fixture
def database(directory: Path) -> Iterator[Connection]:
    """A connection to the demo's database."""
    server = EmbeddedServer(directory)
    server.start()
    with psycopg.connect(server.create_database(), autocommit=True) as connection:
        yield connection


def runs(database: Connection) -> list[tuple[UUID, str]]:
    """The censuses and their statuses, latest first."""
    return database.execute(
        "select run_id, status from quantumflow.list_runs(%s, max_runs => 100)", (census.slug,)
    ).fetchall()


def connections_of(database: Connection, run_id: UUID) -> int:
    """How many connections the workers of a run have."""
    row = database.execute(
        "select count(*) from pg_stat_activity where application_name like %s", (f"{run_id}%",)
    ).fetchone()
    assert row is not None
    return int(row[0])


def facts(database: Connection, run_id: UUID) -> Facts:
    """What the page tells of a run."""
    return read(lambda call: call.on(database), run_id)


@pytest.fixture(scope="module")
def finished(directory: Path) -> subprocess.CompletedProcess[str]:
    """A demo that has run to its end, with a kill."""
    return subprocess.run(
        [*_DEMO, "--directory", directory, "--limit", "150"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )


def test_everything_is_as_it_should_be(
    finished: subprocess.CompletedProcess[str], directory: Path, database: Connection
) -> None:
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "Error" not in finished.stderr
    assert "Warning" not in finished.stderr
    assert finished.stdout.count("✓") == 10
    assert "150 files" in finished.stdout

    ((run_id, status),) = runs(database)
    found = facts(database, run_id)
    assert status == "completed"
    assert len(found.lost) >= 1
    # The one that replaces the killed one may find nothing left to do.
    assert len({a.worker for a in found.attempts if a.worker}) in (2, 3)
    assert connections_of(database, run_id) == 0


def test_the_page_is_where_it_says(
    finished: subprocess.CompletedProcess[str], directory: Path
) -> None:
    (page,) = re.findall(r"^ *page +(.+)$", finished.stdout, re.MULTILINE)

    assert Path(page) == directory / "demo" / "census.html"
    assert "Every file was counted exactly once" in Path(page).read_text("utf-8")


def test_a_goal_in_words_is_decomposed_and_reached(
    finished: subprocess.CompletedProcess[str], database: Connection
) -> None:
    assert "    first  completed\n    second  completed\n  answer\n" in finished.stdout
    assert re.search(r"✓ email has [\d,]+ lines, and json [\d,]+$", finished.stdout, re.MULTILINE)
    (page,) = re.findall(r"^ *goal +(.+)$", finished.stdout, re.MULTILINE)
    text = Path(page).read_text("utf-8")
    assert "Tell which package is larger, json or email" in text
    tree = text.partition('<pre class="tree"')[2].partition("</pre>")[0]
    names = [re.sub("<.*", "", line).rstrip() for line in tree.splitlines()][1:]
    assert names[:4] == ["  first", "  second", "answer", "  compare"]
    (goal,) = database.execute("select status from quantumflow.list_goals()").fetchall()
    assert goal == ("completed",)


def test_the_line_for_psql_works(finished: subprocess.CompletedProcess[str]) -> None:
    (line,) = re.findall(r"^ *runs +(.+)$", finished.stdout, re.MULTILINE)

    shown = subprocess.run(["/bin/sh", "-c", line], check=True, capture_output=True, text=True)

    assert "completed" in shown.stdout


_TAMPERED = {
    "a task's output": (
        """update quantumflow.step_tasks set output = jsonb_set(output, '{lines}', '1000000')
        where run_id = %(run)s and step_slug = 'parse' and task_index = 7""",
        "each result in its place",
    ),
    "a task's file": (
        """update quantumflow.step_tasks set output = jsonb_set(output, '{path}', '"x.py"')
        where run_id = %(run)s and step_slug = 'parse' and task_index = 7""",
        "names its file",
    ),
    "the gathered list": (
        """update quantumflow.step_states set output = output - 0 || output -> 0
        where run_id = %(run)s and step_slug = 'parse'""",
        "each result in its place",
    ),
    "a count, everywhere": (
        """with task as (
          update quantumflow.step_tasks set output = jsonb_set(output, '{lines}', '1000000')
          where run_id = %(run)s and step_slug = 'parse' and task_index = 7)
        update quantumflow.step_states set output = jsonb_set(output, '{7,lines}', '1000000')
        where run_id = %(run)s and step_slug = 'parse'""",
        "every count of every file",
    ),
    "the list of files": (
        """update quantumflow.step_tasks set output = output - 3
        where run_id = %(run)s and step_slug = 'discover'""",
        "discover listed",
    ),
    "the totals": (
        """update quantumflow.step_tasks set output = jsonb_set(output, '{lines}', '1')
        where run_id = %(run)s and step_slug = 'rank'""",
        "so are the totals",
    ),
    "a task less": (
        """delete from quantumflow.step_tasks
        where run_id = %(run)s and step_slug = 'parse' and task_index = 149""",
        "exactly one task for each file",
    ),
    "a task more": (
        """insert into quantumflow.step_tasks
        select (jsonb_populate_record(t, '{"task_index": 150}')).*
        from quantumflow.step_tasks t
        where run_id = %(run)s and step_slug = 'parse' and task_index = 149""",
        "exactly one task for each file",
    ),
    "a task completed twice": (
        """update quantumflow.step_tasks set attempts = attempts + 1
        where run_id = %(run)s and step_slug = 'parse' and task_index = 7""",
        "by one attempt only",
    ),
    "no task was lost": (
        "delete from quantumflow.task_failures where run_id = %(run)s",
        "killed worker held",
    ),
    "a lost task is still the dead worker's": (
        """update quantumflow.step_tasks t set worker_id = f.worker_id
        from quantumflow.task_failures f
        where f.run_id = %(run)s
          and (t.run_id, t.step_slug, t.task_index) = (f.run_id, f.step_slug, f.task_index)""",
        "killed worker held",
    ),
    "a rule of the engine": (
        """delete from quantumflow.step_tasks
        where run_id = %(run)s and step_slug = 'report'""",
        "check_state()",
    ),
}


@pytest.fixture(scope="module")
def plain() -> verify.Plain:
    return verify.plain_loop(150, lambda *_: None)


@pytest.mark.parametrize("tampered", _TAMPERED)
def test_the_checks_notice_what_was_tampered_with(
    finished: subprocess.CompletedProcess[str],
    directory: Path,
    database: Connection,
    plain: verify.Plain,
    tampered: str,
) -> None:
    statement, check = _TAMPERED[tampered]
    run_id = runs(database)[-1][0]
    (victim,) = {f.worker_id for f in facts(database, run_id).failures if f.kind == "lost"}
    page = directory / "demo" / "census.html"

    def failed() -> list[str]:
        checks = verify.checks(database, run_id, plain, page, victim)
        return [f"{title}: {problem}" for title, problem in checks if problem is not None]

    assert failed() == []
    with database.transaction(force_rollback=True):
        changed = database.execute(statement, {"run": run_id})
        assert changed.rowcount > 0
        assert any(check in line for line in failed())


def test_a_tampered_database_makes_it_end_with_1(
    directory: Path, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = verify.plain_loop

    def tamper(limit: int | None, progress: Callable[[int, int], object]) -> verify.Plain:
        database.execute(
            """update quantumflow.step_tasks set output = 'null'
            where run_id = %s and task_index = 9""",
            (runs(database)[0][0],),
        )
        return honest(limit, progress)

    monkeypatch.setattr(verify, "plain_loop", tamper)
    written = io.StringIO()

    code = run_demo(directory, kill=False, limit=20, screen=Screen(written))

    assert code == 1
    assert "each result in its place: no, number 9 is None" in written.getvalue()
    assert "counted exactly once" not in (directory / "demo" / "census.html").read_text("utf-8")

    # Put it back: the tests after this one find the same database, and every rule must hold.
    mended = database.execute(
        """update quantumflow.step_tasks t set output = s.output -> 9
        from quantumflow.step_states s
        where (s.run_id, s.step_slug) = (t.run_id, t.step_slug)
          and s.run_id = %s and t.task_index = 9""",
        (runs(database)[0][0],),
    )
    assert mended.rowcount == 1


def test_without_a_kill_nothing_is_lost(directory: Path, database: Connection) -> None:
    code = run_demo(directory, kill=False, limit=20, workers=1, screen=Screen(io.StringIO()))

    found = facts(database, runs(database)[0][0])
    assert code == 0
    assert found.lost == []
    assert len({a.worker for a in found.attempts if a.worker}) == 1


# A shell starts what it puts in the background with SIGINT ignored, and that is inherited.
_AS_FROM_A_TERMINAL = [
    sys.executable,
    "-c",
    """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
""",
]


def start(directory: Path, database: Connection) -> tuple[subprocess.Popen[bytes], UUID]:
    """Start a demo, and wait until its workers work."""
    before = len(runs(database))
    demo = subprocess.Popen(
        [*_AS_FROM_A_TERMINAL, *_DEMO, "--directory", directory, "--no-kill"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: len(runs(database)) > before, what="a run")
    run_id = runs(database)[0][0]
    wait_until(lambda: len(queries.tasks_done(database, run_id)) == 2, what="two workers at work")
    return demo, run_id


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_interrupted_it_ends_its_workers_and_its_run(
    directory: Path, database: Connection, number: signal.Signals
) -> None:
    demo, run_id = start(directory, database)

    demo.send_signal(number)

    assert demo.wait(30) != 0
    assert connections_of(database, run_id) == 0
    assert runs(database)[0] == (run_id, "cancelled")


def test_killed_it_leaves_no_workers_and_the_next_one_cancels_its_run(
    directory: Path, database: Connection
) -> None:
    demo, run_id = start(directory, database)

    demo.kill()
    demo.wait()

    wait_until(lambda: connections_of(database, run_id) == 0, what="the workers' end")
    assert runs(database)[0] == (run_id, "started")
    assert run_demo(directory, kill=False, limit=5, screen=Screen(io.StringIO())) == 0
    assert (run_id, "cancelled") in runs(database)


def test_two_at_a_time_do_not_get_in_each_others_way(directory: Path, database: Connection) -> None:
    demo, run_id = start(directory, database)
    try:
        second = subprocess.run(
            [*_DEMO, "--directory", directory], check=False, capture_output=True, text=True
        )
        assert second.returncode == 1
        assert "another demo runs" in second.stderr
        assert runs(database)[0] == (run_id, "started")
    finally:
        demo.terminate()
        demo.wait(30)


def test_too_few_files_for_a_kill_are_told(directory: Path, database: Connection) -> None:
    ended = subprocess.run(
        [*_DEMO, "--directory", directory, "--limit", "1"],
        check=False,
        capture_output=True,
        text=True,
    )

    assert ended.returncode == 1
    assert "--no-kill" in ended.stderr


def test_the_workers_cannot_be_misled_by_files_of_the_user(
    directory: Path, database: Connection, tmp_path: Path
) -> None:
    (tmp_path / "ast.py").write_text("raise SystemExit('not the real ast')")
    program = _RUN.format(directory=str(directory))

    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False)

    assert ended.returncode == 0
