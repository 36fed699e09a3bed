"""Every code block in the documents runs, from the top of a page to its end, in one database."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection

from docs.pages import Block, blocks
from quantumflow_client import Client
from support.server import REPOSITORY

README = REPOSITORY / "README.md"  # whose blocks run in test_readme.py
CONTRIBUTING = REPOSITORY / "CONTRIBUTING.md"
PAGES = [CONTRIBUTING, *sorted((REPOSITORY / "docs").glob("*.md"))]
NOT_CODE = {"text"}


def run_python(block: Block, page: Path, names: dict[str, object]) -> None:
    source = "\n" * (block.line - 1) + block.text
    exec(compile(source, str(page), "exec"), names)


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


@pytest.mark.usefixtures("no_roles_left")
def test_queries_to_keep_are_for_viewers(connection: Connection[tuple[object, ...]]) -> None:
    page = REPOSITORY / "docs" / "operators.md"
    (queries,) = (block for block in blocks(page) if "-- Stuck runs" in block.text)
    connection.execute("create role page_viewer")
    connection.execute("select quantumflow.grant_access('page_viewer', 'viewer')")
    connection.execute("set role page_viewer")
    connection.execute(queries.text.encode())
    connection.execute("reset role")


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
