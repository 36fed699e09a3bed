"""Every code block in the documents runs, from the top of a page to its end, in one database."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import Connection

from docs import a_web_framework, pictures
from docs.pages import Block, blocks
from quantumflow_client import Client
from support.server import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

README = REPOSITORY / "README.md"  # whose blocks run in test_readme.py
CONTRIBUTING = REPOSITORY / "CONTRIBUTING.md"
PAGES = [CONTRIBUTING, *sorted((REPOSITORY / "docs").glob("*.md"))]
NOT_CODE = {"text"}


def run_python(block: Block, page: Path, names: dict[str, object]) -> None:
    source = "\n" * (block.line - 1) + block.text
    exec(compile(source, str(page), "exec", dont_inherit=True), names)


def run_shell(block: Block) -> None:
    """Run the commands; those of make only as far as to see that there is such a target."""
    for line in block.text.splitlines():
        command, *arguments = line.split()
        if command == "make":
            subprocess.run(
                ["make", "-n", "-C", REPOSITORY, *arguments], check=True, stdout=subprocess.DEVNULL
            )
        else:
            program = Path(sys.executable).with_name(command)
            subprocess.run([program, *arguments], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def no_roles_left(connect: Callable[..., Connection[tuple[object, ...]]]) -> Iterator[None]:
    """Roles are the cluster's: a page that makes one must not disturb the next test."""
    connection = connect()
    before = {row[0] for row in connection.execute("select rolname from pg_roles")}
    yield
    for (role,) in connection.execute("select rolname from pg_roles").fetchall():
        if role not in before:
            name = psycopg.sql.Identifier(str(role))
            connection.execute(psycopg.sql.SQL("drop owned by {}").format(name))
            connection.execute(psycopg.sql.SQL("drop role {}").format(name))


@pytest.fixture
def names() -> Iterator[dict[str, object]]:
    """What the Python blocks of a page define, its clients closed at the end."""
    names: dict[str, object] = {}
    yield names
    for client in names.values():
        if isinstance(client, Client):
            client.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.usefixtures("no_roles_left")
def test_every_block_runs(
    page: Path,
    dsn: str,
    connect: Callable[..., Connection[tuple[object, ...]]],
    names: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QUANTUMFLOW_DSN", dsn)
    if page.name != "frameworks.md":  # which has the real one
        monkeypatch.setitem(sys.modules, "fastapi", a_web_framework)
    monkeypatch.setitem(sys.modules, "pictures", pictures)
    connection = connect()
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        if block.language == "sql":
            try:
                connection.execute(block.text.encode())
            except psycopg.Error as error:
                raise AssertionError(f"{where}: {error}") from error
        elif block.language == "python":
            run_python(block, page, names)
        elif block.language == "sh":
            run_shell(block)
        else:
            assert block.language in NOT_CODE, f"{where}: nobody runs {block.language!r}"


OPERATORS = REPOSITORY / "docs" / "operators.md"
CHANGING = REPOSITORY / "docs" / "changing-flows.md"


def queries(page: Path) -> Iterator[str]:
    """The statements of a page that only look, one by one."""
    looking = {"doctor", "check_state", "list_runs", "list_failures", "status", "get_flow"}
    for block in blocks(page):
        if block.language == "sql":
            for statement in re.split(r";[^\n]*$", block.text, flags=re.MULTILINE):
                text = re.sub(r"^--.*\n", "", statement.strip(), flags=re.MULTILINE).strip()
                called = set(re.findall(r"quantumflow\.(\w+)\(", text))
                if re.match(r"(?i)select|set|reset|prepare|execute", text) and called <= looking:
                    yield text


@pytest.mark.parametrize("access", ["viewer", "operator"])
@pytest.mark.usefixtures("no_roles_left")
def test_what_pages_ask_is_for_viewers_and_operators(
    access: str, connection: Connection[tuple[object, ...]]
) -> None:
    connection.execute("create role page_reader")
    connection.execute("select quantumflow.grant_access('page_reader', %s)", [access])
    connection.execute("set role page_reader")
    asked = [query for page in (OPERATORS, CHANGING) for query in queries(page)]
    for query in asked:
        if "pgmq.create" not in query:
            connection.execute(query.encode())
    connection.execute("reset role")
    assert len(asked) >= 16


def query(about: str) -> bytes:
    """The operators' query that follows a comment which begins so."""
    (block,) = (block.text for block in blocks(OPERATORS) if f"-- {about}" in block.text)
    return block.partition(f"-- {about}")[2].partition("\n")[2].partition(";")[0].encode()


def test_stuck_runs_and_queues_hold_after_a_retry_and_under_hand_over(
    connection: Connection[tuple[object, ...]],
) -> None:
    """Two hours ago a run of each kind began; what has happened since decides."""
    kinds = ["waits", "moves", "retried", "paused", "again"]
    runs = {}
    connection.execute("insert into quantumflow.settings values ('test_clock', 'on')")
    connection.execute(
        "select set_config('quantumflow.now', (now() - '2 h'::interval)::text, false)"
    )
    for kind in kinds:
        steps = '[{"name": "a"}, {"name": "b", "dependencies": ["a"]}]'
        definition = (
            f'{{"slug": "{kind}", "queue": "q_{kind}", "timeout": 86400, "steps": {steps}}}'
        )
        connection.execute("select quantumflow.define_flow(%s)", [definition])
        started = connection.execute("select quantumflow.start_flow(%s)", [kind]).fetchone()
        assert started is not None
        runs[kind] = started[0]

    def take(kind: str) -> str:
        taken = connection.execute(
            'select jsonb_agg(to_jsonb(c) || \'{"output": 1, "retry_after": 600}\')::text'
            " from quantumflow.claim_tasks(gen_random_uuid(), 1, array['q_' || %s], '1 day') c",
            [kind],
        ).fetchone()
        assert taken is not None
        return str(taken[0])

    moving, failing = take("moves"), take("again")
    connection.execute("select quantumflow.cancel_run(%s)", [runs["retried"]])
    connection.execute("select quantumflow.pause_run(%s)", [runs["paused"]])
    connection.execute("reset quantumflow.now")
    connection.execute("select quantumflow.retry_run(%s)", [runs["retried"]])
    connection.execute("select quantumflow.fail_tasks(%s)", [failing])
    connection.execute(
        "select quantumflow.complete_and_claim(gen_random_uuid(), %s, 1, '{q_moves}')", [moving]
    )
    connection.execute("set search_path = quantumflow, public")
    stuck = connection.execute(query("Stuck runs")).fetchall()
    assert [row[1] for row in stuck] == ["waits"], "nor one that was handed over, or fails"
    waiting = connection.execute(query("The queues")).fetchall()
    assert [row[:2] for row in waiting] == [("q_waits", 1), ("q_retried", 1)]


def test_there_are_blocks_of_each_kind() -> None:
    languages = {block.language for page in PAGES for block in blocks(page)}
    assert {"sql", "python", "sh"} <= languages


# A file, and a function, named in the prose or in a picture.
FILE = re.compile(r"[\w.*-]+(?:/[\w.-]+)+/?|\b\w+\.(?:py|sql|awk)\b")
FUNCTION = re.compile(r"\b(?:quantumflow\.)?([a-z_]+)\(\)")
ROOMS = ("", "extension/sql", "python-client/src/quantumflow_client", "tests-py", "docs")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize(
    "page", [CONTRIBUTING, REPOSITORY / "docs" / "architecture.md"], ids=lambda page: page.name
)
def test_what_is_named_is_there(page: Path, connection: Connection[tuple[object, ...]]) -> None:
    """These pages lead into the code, and rot first."""
    text = re.sub(r"^```s\w+$.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    files = set(FILE.findall(text)) - set(LINK.findall(text))
    missing = [
        name for name in files if not any((REPOSITORY / room / name).exists() for room in ROOMS)
    ]
    assert sorted(missing) == []
    assert len(files) > 10
    found = connection.execute(
        "select proname from pg_proc where pronamespace = 'quantumflow'::regnamespace"
    )
    assert set(FUNCTION.findall(text)) - {str(name) for (name,) in found} == set()
