r"""Writes docs/reference.md and docs/errors.md from the database's comments: docs.py [--check].

The comments are the manual; psql shows the same with \df+ quantumflow.* and \d+. With --check
nothing is written: it fails when a page is not what would be written.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2
import psycopg
from psycopg.rows import class_row

from quantumflow_client.errors import class_of
from support.server import REPOSITORY, build_extension, throwaway_server

FUNCTIONS = """
select
  p.proname as name,
  regexp_replace(
    replace(pg_get_function_arguments(p.oid), ', ', E',\n  '),
    '::(text|interval|integer|jsonb)(\\[\\])?', '', 'g') as arguments,
  pg_get_function_result(p.oid) as result,
  obj_description(p.oid, 'pg_proc') as comment,
  p.prosrc as body
from pg_proc p
where p.pronamespace = 'quantumflow'::regnamespace
order by p.proname
"""

RELATIONS = """
select
  c.oid,
  c.relname as name,
  c.relkind::text as kind,
  coalesce(obj_description(c.oid, 'pg_class'), obj_description(c.reltype, 'pg_type')) as comment
from pg_class c
where c.relnamespace = 'quantumflow'::regnamespace
  and c.relkind in ('r', 'v', 'c')
  and left(c.relname, 1) <> '_'
order by c.relname
"""

COLUMNS = """
select
  a.attname as name,
  format_type(a.atttypid, a.atttypmod) as type,
  col_description(a.attrelid, a.attnum) as comment
from pg_attribute a
where a.attrelid = %s
  and a.attnum > 0
  and not a.attisdropped
order by a.attnum
"""

KINDS = {"r": "Tables", "v": "Views", "c": "Row types"}
CONCEPTS = {
    "1": "Definitions",
    "2": "Runs",
    "3": "Tasks",
    "4": "Queues",
    "5": "Access",
    "6": "Goals",
}
GROUPS = {
    "Definitions": (
        "create_flow add_step define_flow validate_flow test_condition get_flow list_flows "
        "diff_flow delete_flow"
    ),
    "Runs": (
        "start_flow start_flows start_ready_steps cancel_run pause_run resume_run retry_run "
        "retry_preview delete_run prune prune_preview status list_runs find_run run_input "
        "step_output failed_items list_outputs send_signal send_signal_by_key list_waits "
        "announce_end"
    ),
    "Goals": (
        "execute_goal execute_goals decompose_goal decompose goal_status list_goals cancel_goal "
        "create_flow_from_graph register_decomposer add_method list_methods describe_command "
        "recent_events configure_orchestrator"
    ),
    "Many runs": "cancel_runs pause_runs resume_runs retry_runs delete_runs",
    "Pauses": (
        "pause_queue resume_queue pause_flow resume_flow pause_command resume_command list_pauses"
    ),
    "Tasks": (
        "claim_tasks run_now complete_task complete_tasks complete_and_claim fail_task fail_tasks "
        "extend_leases release_tasks report_progress left_work hold_task list_failures sweep settle"
    ),
    "Schedules": (
        "schedule_flow unschedule_flow pause_schedule resume_schedule list_schedules next_times"
    ),
    "Limits": "set_limit remove_limit list_limits",
    "Learning": ("recommendations optimize_flow advance_trials rollback_policy policy_history"),
    "Workers": "register_worker stop_worker",
    "Looking": (
        "help why timeline history critical_path eta list_attempts list_queues list_workers "
        "list_sizes stats metrics doctor check_state version"
    ),
    "Mending": "repair rebuild_queues adopt setup",
    "Access": "configure grant_access revoke_access",
    "Testing": "advance_clock",
}

RAISE = re.compile(r"raise exception\s.*?;\n", re.DOTALL)
CODE = re.compile(r"errcode = ('\w+'|\w+)")
HINT_OF_CODE = re.compile(r"when '(QF\d{3})' then (?:format\(\s*)?'((?:[^']|''){20,})'")
SENTENCE = re.compile(r"'((?:[^']|''){20,})'")
CONTINUED = re.compile(r"'\s*\n\s*'")
CODES = re.compile(r"QF\d{3}")
PLACE = re.compile(r'"?%[sLI]"?')
ELLIPSIS = re.compile(r"\.{4,}")


@dataclass(frozen=True, slots=True)
class Function:
    """A function, as the catalog shows it."""

    name: str
    arguments: str
    result: str
    comment: str
    body: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a relation."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or row type."""

    oid: int
    name: str
    kind: str
    comment: str
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Error:
    """An error code, its class in Python, and what the comments of public functions say of it."""

    code: str
    python_class: str
    meaning: str
    hints: list[str]
    raised_by: list[str]


def grouped(functions: list[Function]) -> list[tuple[str, list[Function]]]:
    """The public functions by what they are for; none may be left out."""
    public = {f.name: f for f in functions if not f.name.startswith("_")}
    groups = [(title, names.split()) for title, names in GROUPS.items()]
    if missing := set(public) ^ {name for _, names in groups for name in names}:
        raise SystemExit(f"tools/docs.py: put in a group: {', '.join(sorted(missing))}")
    return [(title, [public[name] for name in names]) for title, names in groups]


def described(connection: psycopg.Connection) -> list[tuple[str, list[Relation]]]:
    """The public tables, views and row types with their columns."""
    relations = connection.cursor(row_factory=class_row(Relation)).execute(RELATIONS).fetchall()
    columns = connection.cursor(row_factory=class_row(Column))
    return [
        (
            title,
            [
                Relation(r.oid, r.name, r.kind, r.comment, tuple(columns.execute(COLUMNS, [r.oid])))
                for r in relations
                if r.kind == kind
            ],
        )
        for kind, title in KINDS.items()
    ]


def hints(function: Function) -> Iterator[tuple[str, str]]:
    """What a function advises with which code; what is put together has its first sentence here."""
    for raised in RAISE.findall(CONTINUED.sub("", function.body)):
        hint = raised.partition("hint = ")[2]
        of_code = HINT_OF_CODE.findall(hint)
        yield from of_code
        code = CODE.search(raised)
        codes = [code[1].strip("'")] if code else []
        if codes == ["v_code"]:  # any of those that its comment has
            documented = CODES.findall(function.comment.partition("Errors:")[2])
            codes = sorted(set(documented) - {special for special, _ in of_code})
        for said in SENTENCE.findall(HINT_OF_CODE.sub("", hint)):
            yield from ((code, said) for code in codes)


def error_codes(functions: list[Function]) -> list[tuple[str, list[Error]]]:
    """The error codes by concept, from the "Errors:" part of public functions' comments."""
    meanings: dict[str, Counter[str]] = {}
    raised_by: dict[str, list[str]] = {}
    advice: dict[str, list[str]] = {}
    for function in functions:
        for code, hint in hints(function):
            shown = ELLIPSIS.sub("...", PLACE.sub("...", hint.replace("''", "'")))
            advice.setdefault(code, []).append(shown)
        if function.name.startswith("_"):
            continue
        errors = function.comment.partition("Errors:")[2]
        for code, meaning in re.findall(r"(QF\d{3}) (?:when )?([^;.]+)", errors):
            if not meaning.startswith("as "):  # as another function
                meanings.setdefault(code, Counter())[" ".join(meaning.split())] += 1
            raised_by.setdefault(code, []).append(function.name)
    if silent := sorted(set(meanings) - set(advice)):
        raise SystemExit(f"tools/docs.py: no hint says what to do about {', '.join(silent)}")

    return [
        (
            title,
            [
                Error(
                    code,
                    class_of(code).__name__,
                    meanings[code].most_common(1)[0][0],
                    list(dict.fromkeys(advice[code])),
                    raised_by[code],
                )
                for code in sorted(meanings)
                if code[2] == digit
            ],
        )
        for digit, title in CONCEPTS.items()
        if any(code[2] == digit for code in meanings)
    ]


def markdown(text: str) -> str:
    """The text of a comment as Markdown: its line ends stay, and nothing in it is markup."""
    text = re.sub(r"(?<!\n)\n(?!\n)", "  \n", text)
    return re.sub(r"([_*<])", r"\\\1", text)


def cell(text: str) -> str:
    """Text as it may stand in a cell of a table."""
    return re.sub(r"([|<])", r"\\\1", " ".join(text.split()))


def main() -> None:
    """Write the pages, or compare them."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
    )
    environment.filters |= {"markdown": markdown, "cell": cell}

    build_extension()
    with throwaway_server("embedded", "docs") as server:
        dsn = server.create_database("docs", extensions=("pgmq", "quantumflow"))
        with psycopg.connect(dsn, autocommit=True) as connection:
            functions = (
                connection.cursor(row_factory=class_row(Function)).execute(FUNCTIONS).fetchall()
            )
            values = {
                "groups": grouped(functions),
                "kinds": described(connection),
                "concepts": error_codes(functions),
            }

    stale = []
    for name in ("reference.md", "errors.md"):
        text = environment.get_template(f"{name}.j2").render(values)
        path = REPOSITORY / "docs" / name
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(f"docs/{name}")
    if stale:
        raise SystemExit(f"{', '.join(stale)}: not what the comments say; run 'make docs'")


if __name__ == "__main__":
    main()
