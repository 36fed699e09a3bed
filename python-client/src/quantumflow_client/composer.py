"""Goals and graphs of tasks from a program that has no client: the names of the source.

repo is a Client, a connection string, or a connection of psycopg, which says where the database is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import make_conninfo

from ._goals import NOTHING, ExecutionResult, Goal, Steps
from .client import Client
from .errors import BadArgument

if TYPE_CHECKING:
    from ._json import Json
    from ._sql.definitions import WorkflowVersion

Repo = Client | str | psycopg.Connection[Any]


def compose_from_goal(
    goal: str,
    decomposer: str | Callable[..., Any],
    steps: Steps | None,
    repo: Repo,
    **options: Any,
) -> ExecutionResult:
    """Have a goal decomposed and its tasks done; see Client.compose_from_goal.

    Args:
        goal: What is to be done, in words.
        decomposer: The name of a decomposer, or a function of the goal that returns tasks.
        steps: The functions for the tasks, by command.
        repo: Where.
        options: As for Client.compose_from_goal.

    Raises:
        BadArgument: repo is none of these.
        WaitTimeout: It had not ended in time.
    """
    with _client_of(repo) as client:
        return client.compose_from_goal(goal, decomposer, steps, **options)


def compose_from_task_graph(
    graph: Json, steps: Steps | None, repo: Repo, **options: Any
) -> ExecutionResult:
    """Make a workflow of a graph of tasks and run it; see Client.compose_from_task_graph.

    Args:
        graph: The tasks.
        steps: The functions for the tasks, by command.
        repo: Where.
        options: As for Client.compose_from_task_graph.

    Raises:
        BadArgument: repo is none of these.
        WaitTimeout: It had not ended in time.
    """
    with _client_of(repo) as client:
        return client.compose_from_task_graph(graph, steps, **options)


def compose_multiple_workflows(
    goals: Sequence[Goal],
    decomposer: str | Callable[..., Any],
    steps: Steps | None,
    repo: Repo,
    **options: Any,
) -> list[ExecutionResult]:
    """Have several goals decomposed and done at once; see Client.compose_multiple_workflows.

    Args:
        goals: What is to be done, each in words.
        decomposer: The name of a decomposer, or a function of the goal that returns tasks.
        steps: The functions for the tasks, by command.
        repo: Where.
        options: As for Client.compose_multiple_workflows.

    Raises:
        BadArgument: repo is none of these.
        WaitTimeout: One had not ended in time.
    """
    with _client_of(repo) as client:
        return client.compose_multiple_workflows(goals, decomposer, steps, **options)


def create_workflow(
    graph: Json,
    steps: Steps | None,
    options: Mapping[str, Json] = NOTHING,
    *,
    repo: Repo,
) -> WorkflowVersion:
    """Define a workflow of a graph of tasks; see Client.create_workflow.

    Args:
        graph: The tasks.
        steps: The functions that there are, by command.
        options: As for Client.create_workflow.
        repo: Where.

    Raises:
        BadArgument: repo is none of these.
        CommandNotAllowed: A task has no function.
    """
    with _client_of(repo) as client:
        return client.create_workflow(graph, steps, options)


@contextmanager
def _client_of(repo: Repo) -> Iterator[Client]:
    if isinstance(repo, Client):
        yield repo
        return
    if isinstance(repo, psycopg.Connection):
        repo = make_conninfo(repo.info.dsn, password=repo.info.password or None)
    if not isinstance(repo, str):
        raise BadArgument(
            f"repo is {repo!r}: it is a Client, a connection string, or a psycopg connection"
        )
    with Client(repo) as client:
        yield client
