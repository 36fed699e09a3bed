"""What hints, comments and pages tell people to call, run or install is there."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

import click
import psycopg
import pytest

from quantumflow_client.cli import main
from support.functions import functions_of
from support.server import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

Connection = psycopg.Connection[Any]
Texts = dict[str, str]

PAGES = [
    *sorted((REPOSITORY / "docs").glob("*.md")),
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "python-client/README.md")),
]
CLIENT = REPOSITORY / "python-client" / "src" / "quantumflow_client"

# Texts of the functions, those of one that goes over several lines as one, and the comments.
_LITERALS = """
select p.proname, l.text[1]
from pg_proc p
cross join regexp_matches(
  regexp_replace(p.prosrc, '''[ ]*\n\\s*''', '', 'g'), '''((?:[^'']|'''')*)''', 'g') as l(text)
where p.pronamespace = 'quantumflow'::regnamespace
"""
_COMMENTS = """
select coalesce(p.proname, c.relname, t.typname), d.description
from pg_description d
left join pg_proc p on d.classoid = 'pg_proc'::regclass and p.oid = d.objoid
left join pg_class c on d.classoid = 'pg_class'::regclass and c.oid = d.objoid
left join pg_type t on d.classoid = 'pg_type'::regclass and t.oid = d.objoid
where 'quantumflow'::regnamespace in (p.pronamespace, c.relnamespace, t.typnamespace)
"""
# What looks like a name of the schema, or a command: a setting, files, a lock, a session.
# Attributes of spans begin as names in the schema do.
_SPANS = {"otel.py", "_otlp.py"}
_ELSEWHERE = {"runs_by_input", "pgmq_owner", "control", "sql", "create_database"}
_SESSIONS = {"listener"}


@pytest.fixture
def said(connection: Connection) -> Texts:
    """All that the database says, by who says it."""
    found: Texts = {}
    for name, text in connection.execute(_LITERALS + "union all" + _COMMENTS).fetchall():
        found[name] = found.get(name, "") + "\n" + text.replace("''", "'")
    return found


def of_the_client() -> Texts:
    """All that the client says; what is put in when it is said is an ellipsis here."""
    found = {}
    for file in sorted(CLIENT.rglob("*.py")):
        if file.name in _SPANS:
            continue
        found[file.name] = "\n".join(_strings(ast.parse(file.read_text("utf-8"))))
    return found


def _strings(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
        yield "".join(map(str, parts))
    elif isinstance(node, ast.Constant):
        yield node.value if isinstance(node.value, str) else ""
    else:
        for child in ast.iter_child_nodes(node):
            yield from _strings(child)


def pages() -> Texts:
    return {page.name: page.read_text("utf-8").replace("\\_", "_") for page in PAGES}


def test_what_is_named_with_its_schema_is_there(said: Texts, connection: Connection) -> None:
    there = {
        str(name)
        for (name,) in connection.execute(
            "select proname from pg_proc where pronamespace = 'quantumflow'::regnamespace "
            "union select typname from pg_type where typnamespace = 'quantumflow'::regnamespace "
            "union select relname from pg_class where relnamespace = 'quantumflow'::regnamespace "
            "union select unnest(regexp_matches(prosrc, '(?:current_setting|set_config)\\("
            "''quantumflow\\.(\\w+)', 'g')) from pg_proc"
        )
    }
    for who, text in (said | of_the_client() | pages()).items():
        named = set(re.findall(r"(?<![\w/-])quantumflow\.(\w*[a-z0-9])\b", text))
        assert named - there - _ELSEWHERE == set(), who


def test_arguments_that_are_named_are_there(said: Texts, connection: Connection) -> None:
    arguments: dict[str, set[str]] = {}
    for function in functions_of(connection):
        arguments.setdefault(function.name, set()).update(a.name for a in function.arguments)
    for who, text in (said | of_the_client() | pages()).items():
        for name, given in re.findall(r"\bquantumflow\.(\w+)\(([^()]*)", text):
            named = set(re.findall(r"(\w+) =>", given))
            assert named - arguments.get(name, set()) == set(), f"{who}: {name}"


def test_functions_that_are_named_without_it_are_there(said: Texts, connection: Connection) -> None:
    there = {str(name) for (name,) in connection.execute("select proname from pg_proc")}
    for who, text in said.items():
        assert set(re.findall(r"(?<![\w.])([a-z_]+)\(\)", text)) - there == set(), who


def test_commands_and_options_are_there(said: Texts) -> None:
    known = 0
    for who, text in (said | of_the_client() | pages()).items():
        for words in re.findall(r"(?:[\"`]|: )quantumflow ((?:[a-z-]+ ?|--[a-z-]+ ?)+)", text):
            if words not in _SESSIONS:
                known += 1
                _look_up(words.split(), f"{who}: quantumflow {words}")
    assert known > 30


def _look_up(words: list[str], what: str) -> None:
    found: click.Command = main
    while words and isinstance(found, click.Group):
        if words[0].startswith("-"):
            break
        assert words[0] in found.commands, what
        found = found.commands[words.pop(0)]
    options = {"--help"} | {
        name for option in found.params for name in (*option.opts, *option.secondary_opts)
    }
    if found.name != "demo":  # which reads its own
        assert {word for word in words if word.startswith("--")} <= options | {"--help"}, what


def test_targets_of_make_are_there(said: Texts) -> None:
    files = [REPOSITORY / "Makefile", REPOSITORY / "extension" / "Makefile"]
    makefiles = "".join(file.read_text("utf-8") for file in files)
    targets = set(" ".join(re.findall(r"^\.PHONY: (.*)", makefiles, re.MULTILINE)).split())
    for who, text in (said | of_the_client() | pages()).items():
        # One may also make tea: it is a goal.
        assert set(re.findall(r"[\"`]make ([a-z-]+)", text)) - targets <= {"tea"}, who


def test_extras_are_there(said: Texts) -> None:
    project = (REPOSITORY / "python-client" / "pyproject.toml").read_text("utf-8")
    extras = set(
        re.findall(r"^(\w+) = \[", project.partition("optional-dependencies]")[2], re.MULTILINE)
    )
    for who, text in (said | of_the_client() | pages()).items():
        assert set(re.findall(r"python-client\[(\w+)\]", text)) - extras == set(), who


def test_statements_of_hints_can_be_run(said: Texts, connection: Connection) -> None:
    """Planned, that is: as far as the longest run of words that is a statement."""
    found = [s for text in (said | of_the_client()).values() for s in statements(text)]
    names = {a.name for function in functions_of(connection) for a in function.arguments}
    assert len(found) > 15
    for statement in found:
        shown = statement
        if statement.startswith("select"):  # arguments may be shown by their names
            words = re.split(r"(\w+)(?=[,)])", statement)
            shown = "".join("null" if word in names else word for word in words)
        assert can_be_planned(shown, connection), statement


def statements(text: str) -> Iterator[str]:
    """What begins as a statement on something of ours in a sentence, to the sentence's line."""
    of_ours = re.compile(r"(?:select .*?|insert into )(?:quantumflow|pgmq)\.")
    for found in re.findall(r"(?:^|[:;.,] )((?:select|insert into) .*)", text, re.MULTILINE):
        if of_ours.match(found) and not re.search(r"%(I|\()", found):  # made, or called, elsewhere
            yield found


def can_be_planned(sentence: str, connection: Connection) -> bool:
    words = re.sub(r"'%s'|%L|%s|\.\.\.", "null", sentence).split()
    for end in range(len(words), 1, -1):
        statement = " ".join(words[:end]).rstrip(".,;:")
        if not re.search(r"\b(quantumflow|pgmq)\.", statement):
            return False
        try:
            connection.execute(f"explain {statement}".encode())
        except psycopg.Error:
            continue
        return not {"where", "group", "order", "limit"} & set(words[end : end + 1])
    return False
