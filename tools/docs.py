"""Writes docs/reference.md and docs/errors.md from the comments in the database: docs.py [--check].

The comments are the manual; psql shows the same with \\df+ quantumflow.* and \\d+. With --check
nothing is written: it fails when a page is not what would be written.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1] / "tests-py"))

from support.server import REPOSITORY, build_extension, throwaway_server  # noqa: E402

GENERATED = "<!-- Written by `make docs` from the comments in extension/sql. Edit those. -->\n"

FUNCTIONS = """
select
  p.proname,
  pg_get_function_arguments(p.oid),
  pg_get_function_result(p.oid),
  obj_description(p.oid, 'pg_proc')
from pg_proc p
where p.pronamespace = 'quantumflow'::regnamespace
  and left(p.proname, 1) <> '_'
order by p.proname
"""

RELATIONS = """
select c.oid, c.relname, c.relkind::text, obj_description(c.oid, 'pg_class')
from pg_class c
where c.relnamespace = 'quantumflow'::regnamespace
  and c.relkind in ('r', 'v', 'c')
  and left(c.relname, 1) <> '_'
order by c.relname
"""

TYPE_COMMENT = "select obj_description(%s::regtype, 'pg_type')"

COLUMNS = """
select a.attname, format_type(a.atttypid, a.atttypmod), col_description(a.attrelid, a.attnum)
from pg_attribute a
where a.attrelid = %s
  and a.attnum > 0
  and not a.attisdropped
order by a.attnum
"""

BODIES = """
select p.prosrc
from pg_proc p
where p.pronamespace = 'quantumflow'::regnamespace
"""

CONCEPTS = {
    "1": "Definitions",
    "2": "Runs",
    "3": "Tasks",
    "4": "Queues",
    "5": "Access",
    "6": "Goals",
}

GROUPS = {
    "Definitions": [
        "create_flow", "add_step", "define_flow", "validate_flow", "get_flow", "list_flows", "delete_flow",
    ],
    "Runs": [
        "start_flow", "start_flows", "start_ready_steps", "cancel_run", "status", "list_runs", "run_input",
        "step_output",
    ],
    "Tasks": [
        "claim_tasks", "complete_task", "complete_tasks", "fail_task", "fail_tasks", "extend_leases",
        "release_tasks", "sweep",
    ],
    "Workers": ["register_worker", "stop_worker"],
    "Looking and mending": ["check_state", "doctor", "setup", "version"],
}  # fmt: skip


class Function(NamedTuple):
    """A public function, as the catalog shows it."""

    name: str
    arguments: str
    result: str
    comment: str


def reference(connection: psycopg.Connection) -> str:
    """The reference page."""
    functions = {row[0]: Function(*row) for row in connection.execute(FUNCTIONS)}
    grouped = [name for names in GROUPS.values() for name in names]
    if sorted(grouped) != sorted(functions):
        raise SystemExit(f"tools/docs.py: not grouped: {set(functions) ^ set(grouped)}")

    lines = [
        GENERATED,
        "# Reference\n",
        "Every function, table, view and row type of schema `quantumflow` that is yours to use, in the "
        "words of its comment. In psql, `\\df+ quantumflow.*` and `\\d+ quantumflow.*` show the same. "
        "Names that begin with an underscore are private.\n",
        "# Functions\n",
    ]
    for group, names in GROUPS.items():
        lines.append(f"## {group}\n")
        for name in names:
            function = functions[name]
            arguments = function.arguments.replace("::text", "").replace("::interval", "")
            signature = f"{name}({arguments})"
            lines += [
                f"### {name}\n",
                f"```text\nquantumflow.{signature}\n  returns {function.result}\n```\n",
                f"{escape(function.comment)}\n",
            ]
    kinds = {"r": "Tables", "v": "Views", "c": "Row types"}
    relations = connection.execute(RELATIONS).fetchall()
    for kind, title in kinds.items():
        lines.append(f"# {title}\n")
        for oid, name, relkind, comment in relations:
            if relkind != kind:
                continue
            if kind == "c":
                comment = connection.execute(TYPE_COMMENT, [f"quantumflow.{name}"]).fetchall()[0][0]
            lines += [
                f"## {name}\n",
                f"{escape(comment)}\n",
                "| column | type | |\n| --- | --- | --- |",
            ]
            lines += [
                f"| `{column}` | {type_} | {cell(text)} |"
                for column, type_, text in connection.execute(COLUMNS, [oid])
            ]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def errors(connection: psycopg.Connection) -> str:
    """The page of error codes."""
    meanings: dict[str, dict[str, list[str]]] = {}
    for row in connection.execute(FUNCTIONS):
        function = Function(*row)
        _, _, part = function.comment.partition("Errors:")
        for code, meaning in re.findall(r"(QF\d{3}) ([^;.]+)[;.]?", part):
            meaning = re.sub(r"^when |\s+", lambda m: "" if m[0] == "when " else " ", meaning)
            meanings.setdefault(code, {}).setdefault(meaning.strip(), []).append(function.name)

    hints: dict[str, str] = {}
    in_data: set[str] = set()
    for (body,) in connection.execute(BODIES):
        for code, hint in re.findall(
            r"errcode = '(QF\d{3})'.*?hint = '((?:[^']|'')*)';", body, re.S
        ):
            if code != "QF101":
                hints.setdefault(code, hint.replace("''", "'"))
        in_data |= set(re.findall(r"\((QF\d{3})\)'", body))

    lines = [
        GENERATED,
        "# Errors\n",
        "An error that you can cause has an SQLSTATE of class `QF`. The first digit says what it is about. "
        "The message says what was wrong, DETAIL with which value, HINT what to do; the state is as it was. "
        "The Python client raises a class per code, found by the code alone.\n",
        "Reports (`complete_tasks`, `fail_tasks`, `extend_leases`, `release_tasks`) never raise for a race "
        "they lost: they answer with an outcome.\n",
    ]
    for digit, title in CONCEPTS.items():
        codes = sorted(code for code in meanings if code[2] == digit)
        if codes:
            lines += [
                f"## {title}\n",
                "| code | when | what to do | raised by |\n| --- | --- | --- | --- |",
            ]
        for code in codes:
            phrases = sorted(meanings[code], key=lambda p: (-len(meanings[code][p]), -len(p)))
            callers = sorted({name for names in meanings[code].values() for name in names})
            raised_by = ", ".join(f"`{name}`" for name in callers)
            hint = cell(hints.get(code) or VALIDATE)
            lines.append(f"| `{code}` | {cell(phrases[0])} | {hint} | {raised_by} |")
        lines.append("")
    lines += [
        "## In the data\n",
        "Some codes are not raised but stand in `error_message` of the run, step or task that failed:\n",
        "| code | meaning |\n| --- | --- |",
        *[f"| `{code}` | {IN_DATA[code]} |" for code in sorted(in_data)],
    ]
    return "\n".join(lines).rstrip() + "\n"


VALIDATE = "Correct the definition; select * from quantumflow.validate_flow(...) lists its problems as rows."

IN_DATA = {
    "QF209": "The outputs of the run's leaf steps exceed what one jsonb value can hold (256 MB).",
    "QF305": "Type violation: a map maps over this output, and it is no array. The output is kept on the task.",
    "QF306": "The outputs of a map's tasks exceed what one jsonb array can hold (256 MB).",
}


def escape(text: str) -> str:
    """Text of a comment as Markdown: its line ends stay, what looks like a tag is none."""
    return (
        re.sub(r"(?<!\n)\n(?!\n)", "  \n", text)
        .replace("<", "&lt;")
        .replace("_", r"\_")
        .replace("*", r"\*")
    )


def cell(text: str) -> str:
    """Text as it may stand in a cell of a table."""
    return re.sub(r"\s+", " ", text).replace("|", r"\|").replace("<", "&lt;")


def main() -> None:
    """Write the pages, or compare them."""
    build_extension()
    with throwaway_server("embedded", "docs") as server:
        dsn = server.create_database("docs", extensions=("pgmq", "quantumflow"))
        with psycopg.connect(dsn, autocommit=True) as connection:
            pages = {"reference.md": reference(connection), "errors.md": errors(connection)}

    stale = []
    for name, text in pages.items():
        path = REPOSITORY / "docs" / name
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(name)
    if stale:
        raise SystemExit(
            f"docs/{', docs/'.join(stale)}: not what the comments say; run 'make docs'"
        )


if __name__ == "__main__":
    main()
