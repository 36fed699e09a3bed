"""Checks, when the run has ended, that every file was counted exactly once.

The database is asked, and then the same files are counted again in a plain loop, which knows
nothing of workflows.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from . import queries
from .census import LIBRARY, Result, add_up, files_below, look_at

if TYPE_CHECKING:
    from .queries import Connection

Check = tuple[str, str | None]
"""What is checked, and what is wrong with it; None: nothing."""


@dataclass(frozen=True, slots=True)
class Plain:
    """What the plain loop found, and how long it took."""

    results: Sequence[Result]
    totals: Result
    seconds: float


def plain_loop(limit: int | None, progress: Callable[[int, int], object]) -> Plain:
    """Take the census in one process, without a workflow.

    Args:
        limit: How many files to look at; None: all.
        progress: Told how many files are done, of how many.
    """
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the files that it parses
        files = files_below(LIBRARY)[:limit]
        results = []
        for number, path in enumerate(files):
            if number % 50 == 0:
                progress(number, len(files))
            results.append(look_at(LIBRARY, path))
    totals = add_up(results)
    return Plain(results, totals, time.perf_counter() - began)


def checks(
    connection: Connection, run_id: UUID, plain: Plain, page: Path, victim: UUID | None
) -> list[Check]:
    """Check a run that has ended.

    Args:
        connection: To the database.
        run_id: The run.
        plain: What the plain loop found.
        page: Where the report should be.
        victim: The worker that was killed; None: none was.
    """
    files = [result["path"] for result in plain.results]
    count = len(files)
    discovered = queries.output_of(connection, run_id, "discover")
    gathered = queries.output_of(connection, run_id, "parse")
    totals = queries.output_of(connection, run_id, "rank")
    tasks = queries.tasks(connection, run_id, "parse")
    problems = queries.problems(connection)

    found: list[Check] = [
        (
            f"discover listed the {count:,} files of the library, in order",
            _difference(discovered, files),
        ),
        (
            f"parse has exactly one task for each file, with the indices 0 to {count - 1:,}",
            _difference([task.task_index for task in tasks], list(range(count)))
            or _difference([task.item for task in tasks], files),
        ),
        (
            "each of these tasks was completed, and by one attempt only",
            _say(
                "task {} is {} after {} attempts, {} of them lost",
                (
                    (task.task_index, task.status, task.attempts, task.losses)
                    for task in tasks
                    if task.status != "completed" or task.attempts - task.losses != 1
                ),
            ),
        ),
        (
            "its result names its file, and the gathered list has each result in its place",
            _difference([_path_of(task.output) for task in tasks], files)
            or _difference(gathered, [task.output for task in tasks]),
        ),
    ]
    if victim is not None:
        lost = queries.lost_with(connection, run_id, victim)
        by_index = {task.task_index: task for task in tasks}
        found.append(
            (
                f"the {len(lost)} tasks that the killed worker held were completed by others",
                "it held none"
                if not lost
                else _say(
                    "task {} was not",
                    (
                        (index,)
                        for index in lost
                        if index not in by_index or by_index[index].worker_id in (victim, None)
                    ),
                ),
            )
        )
    found += [
        (
            "every count of every file is that of a plain loop in one process",
            _difference(gathered, plain.results),
        ),
        (
            "so are the totals and the ranking",
            None if totals == plain.totals else "they differ",
        ),
        (
            "the page was written",
            None if page.is_file() else f"{page} is not there",
        ),
        (
            "quantumflow.check_state() finds nothing wrong in the database",
            _say("{}", ((problem,) for problem in problems)),
        ),
    ]
    return found


def _path_of(output: object) -> object:
    return output.get("path") if isinstance(output, dict) else None


def _difference(found: object, expected: Sequence[object]) -> str | None:
    """In what a list differs from what it should be."""
    if not isinstance(found, list):
        return f"it is no list but {type(found).__name__}"
    if len(found) != len(expected):
        return f"there are {len(found):,}, not {len(expected):,}"
    wrong = [i for i, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b]
    return _say("number {} is {:.100}", ((i, repr(found[i])) for i in wrong))


def _say(text: str, cases: Iterable[tuple[object, ...]]) -> str | None:
    """What is wrong: the first case, and how many there are."""
    found = list(cases)
    if not found:
        return None
    more = f", and {len(found) - 1:,} more" if len(found) > 1 else ""
    return text.format(*found[0]) + more
