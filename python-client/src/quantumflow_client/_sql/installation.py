"""The extension in its database: checked, mended, set up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantumflow_client import _arguments
from quantumflow_client._call import Call

from .statements import scalar, statement

if TYPE_CHECKING:
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at: its state is ok, warning or error."""

    subject: str
    state: str
    fact: str
    advice: str | None


_DOCTOR = statement("doctor", "select subject, state, fact, advice from quantumflow.doctor()")


def doctor() -> Call[list[Finding]]:
    """Examine the server, the installation, the queues and the workers."""
    return Call(_DOCTOR, lambda rows: [Finding(*row) for row in rows])


@dataclass(frozen=True, slots=True)
class StateProblem:
    """Something that breaks a rule that is always true; None as remedy: a person has to decide."""

    rule: int
    run_id: UUID | None
    step_slug: str | None
    task_index: int | None
    queue: str | None
    message_id: int | None
    problem: str
    remedy: str | None


_CHECK_STATE = statement(
    "check_state",
    """
    select rule, run_id, step_slug, task_index, queue, message_id, problem, remedy
    from quantumflow.check_state(run_id => %(run_id)s)
    """,
)


def check_state(run_id: UUID | None) -> Call[list[StateProblem]]:
    """Find what breaks the rules, in one run or in all."""
    return Call(
        _CHECK_STATE,
        lambda rows: [StateProblem(*row) for row in rows],
        {"run_id": _arguments.run(run_id)},
    )


@dataclass(frozen=True, slots=True)
class StateRepair:
    """Something that breaks a rule that is always true, and what was done about it or would be."""

    rule: int
    run_id: UUID | None
    step_slug: str | None
    task_index: int | None
    queue: str | None
    message_id: int | None
    problem: str
    action: str


_REPAIR = statement(
    "repair",
    """
    select rule, run_id, step_slug, task_index, queue, message_id, problem, action
    from quantumflow.repair(dry_run => %(dry_run)s)
    """,
)


def repair(*, dry_run: bool) -> Call[list[StateRepair]]:
    """Mend what breaks the rules, or say how."""
    return Call(_REPAIR, lambda rows: [StateRepair(*row) for row in rows], {"dry_run": dry_run})


_REBUILD_QUEUES = statement(
    "rebuild_queues", "select queue, messages from quantumflow.rebuild_queues()"
)


def rebuild_queues() -> Call[dict[str, int]]:
    """Make the queues anew from the tasks; how many messages each has."""
    return Call(_REBUILD_QUEUES, lambda rows: {row[0]: row[1] for row in rows})


_ADOPT = statement("adopt", "select quantumflow.adopt()")


def adopt() -> Call[str]:
    """Declare that this database's runs go on here; its identity."""
    return Call(_ADOPT, scalar)


_SETUP = statement("setup", "select quantumflow.setup()")


def setup() -> Call[str]:
    """Make the queues that are missing; what was done."""
    return Call(_SETUP, scalar)


_VERSION = statement("version", "select quantumflow.version()")


def version() -> Call[str]:
    """The version of quantumflow in the database."""
    return Call(_VERSION, scalar)
