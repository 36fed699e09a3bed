"""Workflows: defined, read, asked about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quantumflow_client import _arguments, _json
from quantumflow_client._call import Call

from .statements import decoded, scalar, statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from psycopg.rows import TupleRow

    from quantumflow_client._json import Json


@dataclass(frozen=True, slots=True)
class WorkflowVersion:
    """A version of a workflow.

    Attributes:
        workflow_slug: The workflow.
        version: The version's number, from 1.
        frozen_at: When its first run froze it; None while it has none.
        current_version: The version that new runs use.
    """

    workflow_slug: str
    version: int
    frozen_at: datetime | None
    current_version: int

    def beside(self, flows: list[FlowSummary]) -> WorkflowVersion:
        """The same, with what is current by now; unchanged if the workflow is gone."""
        current = [f.current_version for f in flows if f.workflow_slug == self.workflow_slug]
        return replace(self, current_version=current[0]) if current else self


_DEFINE_FLOW = statement(
    "define_flow",
    """
    select workflow_slug, version, frozen_at
    from quantumflow.define_flow(
      definition => %(definition)s::pg_catalog.jsonb,
      workflow_slug => %(workflow_slug)s,
      rollback => %(rollback)s)
    """,
)


def defined(rows: Sequence[TupleRow]) -> WorkflowVersion:
    workflow_slug, version, frozen_at = rows[0]
    return WorkflowVersion(workflow_slug, version, frozen_at, current_version=version)


def define_flow(
    definition: Mapping[str, Json],
    workflow_slug: str | None,
    *,
    rollback: bool,
    encode: _json.Encoder = _json.encode,
) -> Call[WorkflowVersion]:
    """Define a workflow as a whole. Without rollback another version may be current: see beside."""
    return Call(
        _DEFINE_FLOW,
        defined,
        {
            "definition": encode(definition, "the definition"),
            "workflow_slug": workflow_slug,
            "rollback": rollback,
        },
        is_repeatable=True,
    )


_VALIDATE_FLOW = statement(
    "validate_flow",
    """
    select code, path, message
    from quantumflow.validate_flow(
      definition => %(definition)s::pg_catalog.jsonb,
      workflow_slug => %(workflow_slug)s)
    """,
)


@dataclass(frozen=True, slots=True)
class DefinitionProblem:
    """What is wrong with a definition; `path` leads to the place, and is empty for the whole."""

    code: str
    path: str
    message: str


def validate_flow(definition: Json, workflow_slug: str | None) -> Call[list[DefinitionProblem]]:
    """Find everything that is wrong with a definition."""
    return Call(
        _VALIDATE_FLOW,
        lambda rows: [DefinitionProblem(*row) for row in rows],
        {
            "definition": _json.encode(definition, "the definition"),
            "workflow_slug": workflow_slug,
        },
        is_repeatable=True,
    )


_GET_FLOW = statement(
    "get_flow",
    """
    select quantumflow.get_flow(
      workflow_slug => %(workflow_slug)s, version => %(version)s::int)::pg_catalog.text
    """,
)


def get_flow(workflow_slug: str, version: int | None) -> Call[dict[str, Json]]:
    """A workflow's definition."""
    return Call(
        _GET_FLOW,
        decoded,
        {"workflow_slug": workflow_slug, "version": _arguments.number("version", version)},
    )


_TEST_CONDITION = statement(
    "test_condition",
    """
    select result, reason, saw::pg_catalog.text
    from quantumflow.test_condition(
      workflow_slug => %(workflow_slug)s,
      step_slug => %(step_slug)s,
      input => %(input)s::pg_catalog.jsonb,
      status => %(status)s::pg_catalog.jsonb,
      version => %(version)s::int)
    """,
)


@dataclass(frozen=True, slots=True)
class ConditionAnswer:
    """What a step's condition says of an input.

    Attributes:
        result: True: the step runs. False: its `otherwise` decides. None: unknown, and it fails.
        reason: Why it is unknown, or that the step has no condition.
        saw: By each path of the condition a list of what it finds, the first ten values, long ones
            in short; or a text, which says why it finds none.
    """

    result: bool | None
    reason: str | None
    saw: dict[str, Json]


def test_condition(
    workflow_slug: str,
    step_slug: str,
    input: Json,  # noqa: A002
    *,
    status: Mapping[str, str],
    version: int | None,
    encode: _json.Encoder,
) -> Call[ConditionAnswer]:
    """Ask a step's condition of an input."""
    return Call(
        _TEST_CONDITION,
        lambda rows: ConditionAnswer(rows[0][0], rows[0][1], _json.decode(rows[0][2])),
        {
            "workflow_slug": workflow_slug,
            "step_slug": step_slug,
            "input": encode(input, "the input"),
            "status": _json.encode(status, "status"),
            "version": _arguments.number("version", version),
        },
        is_repeatable=True,
    )


_LIST_FLOWS = statement(
    "list_flows",
    """
    select workflow_slug, title, current_version, versions, steps, frozen, created_at
    from quantumflow.list_flows()
    """,
)


@dataclass(frozen=True, slots=True)
class FlowSummary:
    """A workflow in a line."""

    workflow_slug: str
    title: str | None
    current_version: int
    versions: int
    steps: int
    frozen: bool
    created_at: datetime


def list_flows() -> Call[list[FlowSummary]]:
    """The workflows, the newest first."""
    return Call(_LIST_FLOWS, lambda rows: [FlowSummary(*row) for row in rows])


_DELETE_FLOW = statement(
    "delete_flow", "select quantumflow.delete_flow(workflow_slug => %(workflow_slug)s)"
)


def delete_flow(workflow_slug: str) -> Call[bool]:
    """Delete a workflow with all its versions; whether there was one."""
    return Call(_DELETE_FLOW, scalar, {"workflow_slug": workflow_slug})
