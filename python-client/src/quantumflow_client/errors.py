"""What can go wrong: one class per error code of the database, and a few errors of the client.

The database's errors are told apart by their SQLSTATE alone, `QFnnn`; message, detail and hint are
its own words. A code this client does not know yet becomes the class of its concept, `QF2xx` a
`RunError` for example. Errors that are not quantumflow's (a lost connection, a refused value) stay
psycopg's; only that there is no quantumflow in the database (3F000) is `NotInstalled`.
"""

# ruff: noqa: N818 - the names say what is wrong; that it is an error, the base class says

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    import psycopg


class QuantumflowError(Exception):
    """The base of every error of quantumflow.

    Attributes:
        sqlstate: The database's code, `QFnnn`; None for an error of the client's own.
        message: What is wrong.
        detail: The facts, or None.
        hint: What to do about it, or None.
    """

    code: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        detail: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate or self.code
        self.message = message
        self.detail = detail
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.message]
        if self.detail:
            lines.append(f"DETAIL: {self.detail}")
        if self.hint:
            lines.append(f"HINT: {self.hint}")
        return "\n".join(lines)


class DefinitionError(QuantumflowError):
    """A workflow's definition (QF1xx)."""


class InvalidDefinition(DefinitionError):
    """The definition does not have the structure of one."""

    code = "QF101"


class UnknownKey(DefinitionError):
    """The definition has a key that means nothing, a typo perhaps."""

    code = "QF102"


class BadSlug(DefinitionError):
    """A slug is no letter followed by letters, digits and underscores, is reserved, or is two."""

    code = "QF103"


class DuplicateStep(DefinitionError):
    """Two steps have the same slug."""

    code = "QF104"


class UnknownDependency(DefinitionError):
    """A step depends on a step that is not there."""

    code = "QF105"


class SelfDependency(DefinitionError):
    """A step depends on itself."""

    code = "QF106"


class Cycle(DefinitionError):
    """Steps wait for each other in a circle."""

    code = "QF107"


class MapRule(DefinitionError):
    """A map step does not say, or cannot say, what it maps over."""

    code = "QF108"


class NoSteps(DefinitionError):
    """A workflow has no steps."""

    code = "QF109"


class BadQueueName(DefinitionError):
    """pgmq would not take the queue's name."""

    code = "QF110"


class UnknownWorkflow(DefinitionError):
    """There is no such workflow."""

    code = "QF111"


class UnknownVersion(DefinitionError):
    """The workflow has no such version."""

    code = "QF112"


class WorkflowHasRuns(DefinitionError):
    """A workflow with runs, or with schedules, cannot be deleted."""

    code = "QF113"


class SlugCaseConflict(DefinitionError):
    """A slug differs from another only in upper and lower case."""

    code = "QF114"


class DefinitionTooLarge(DefinitionError):
    """The definition has more bytes or steps than the limits allow."""

    code = "QF115"


class GraphTooDeep(DefinitionError):
    """The longest chain of steps is longer than the limit allows."""

    code = "QF116"


class BadCondition(DefinitionError):
    """A condition that is no jsonpath, asks for what its step is not given, or may take too long.

    `test_condition` tells what a condition says of an input.
    """

    code = "QF117"


class StepRuleBroken(DefinitionError):
    """Keys of a step that do not go together: of its join, condition, order or failure."""

    code = "QF118"


class UnknownChildFlow(DefinitionError):
    """A step starts runs of a workflow, or of a version of it, that does not exist."""

    code = "QF119"


class StepNotInFlow(DefinitionError):
    """The workflow has no such step."""

    code = "QF120"


class RunError(QuantumflowError):
    """A run (QF2xx)."""


class UnknownRun(RunError):
    """There is no such run."""

    code = "QF201"


class RunIdTaken(RunError):
    """Another run has the run_id."""

    code = "QF202"


class VersionWithoutSteps(RunError):
    """A version without steps cannot be run."""

    code = "QF203"


class InputNotArray(RunError):
    """The workflow maps over the run's input, which is no array."""

    code = "QF204"


class NegativePriority(RunError):
    """A priority is zero or more."""

    code = "QF205"


class BadIdempotencyKey(RunError):
    """The idempotency key is empty, too long, or begins with an underscore."""

    code = "QF206"


class RunHasEnded(RunError):
    """The run has ended, and cannot be stopped any more."""

    code = "QF207"


class HeadersNotObject(RunError):
    """Headers are a JSON object."""

    code = "QF208"


class OutputTooLarge(RunError):
    """The run's output would be larger than PostgreSQL can store."""

    code = "QF209"


class StartAtNotFinite(RunError):
    """A run is started at a time, not at infinity."""

    code = "QF210"


class BadPageSize(RunError):
    """The number of rows to list is out of range."""

    code = "QF211"


class UnknownStatus(RunError):
    """No run has such a status."""

    code = "QF212"


class RunNotEnded(RunError):
    """The run, or its callback, has not ended, so it cannot be retried or deleted."""

    code = "QF213"


class NothingToRetry(RunError):
    """Every step of the run is done, and no step to retry from is named."""

    code = "QF214"


class StepNotInRun(RunError):
    """The run has no step of this name."""

    code = "QF215"


class BadPrune(RunError):
    """An argument of prune is null or out of range."""

    code = "QF216"


class RunInputTooLarge(RunError):
    """The run's input, or its headers, are larger than the limits allow."""

    code = "QF217"


class InboxFull(RunError):
    """The run has been sent as many signals as it may be."""

    code = "QF218"


class BadFilter(RunError):
    """A filter does not say which runs, or has a key or a value that is none."""

    code = "QF219"


class BadSchedule(RunError):
    """A schedule cannot be what it is to be: its cron text, time zone, name or the like."""

    code = "QF220"


class NoSuchIteration(RunError):
    """The step has no iteration of this number."""

    code = "QF221"


class BadSignal(RunError):
    """The name or the key of a signal is not valid."""

    code = "QF222"


class UnknownSchedule(RunError):
    """There is no such schedule."""

    code = "QF223"


class BadWindow(RunError):
    """There is no such time to look at: it ends before it begins, or is no length of time."""

    code = "QF224"


class ChildNotWanted(RunError):
    """The run was started by a step of another, which does not wait for it any more."""

    code = "QF227"


class AnotherRunGoesOn(RunError):
    """Runs of the workflow go on one at a time, and another one of the same key has not ended."""

    code = "QF225"


class NoTurnKey(RunError):
    """Runs of the workflow go on one at a time, and the input has not the key for that."""

    code = "QF226"


class ChildOfRun(RunError):
    """A step of another run started the run, with which it goes."""

    code = "QF228"


class AmbiguousRun(RunError):
    """The ids of several runs begin as the text that was to name one."""

    code = "QF229"


class TaskError(QuantumflowError):
    """A task, its lease or its report (QF3xx)."""


class ResultsNotArray(TaskError):
    """The reports are not a JSON array of objects."""

    code = "QF301"


class BadQuantity(TaskError):
    """The number of tasks to claim is out of range."""

    code = "QF302"


class BadLease(TaskError):
    """The lease is out of range."""

    code = "QF303"


class WorkerIdMissing(TaskError):
    """A claim does not say who claims."""

    code = "QF304"


class TypeViolation(TaskError):
    """A step that a map step maps over did not return an array."""

    code = "QF305"


class GatheredOutputTooLarge(TaskError):
    """The outputs of a map step are together larger than PostgreSQL can store."""

    code = "QF306"


class UnknownStep(TaskError):
    """The run has no such step."""

    code = "QF307"


class BadProgress(TaskError):
    """What is done, or in total, is no number from 0 to 10^18."""

    code = "QF308"


class InputTooLarge(TaskError):
    """A task's input, with its dependencies' outputs, is larger than PostgreSQL can store."""

    code = "QF308"


class TaskOutputTooLarge(TaskError):
    """A task's output is larger than the limits allow."""

    code = "QF309"


class QueueError(QuantumflowError):
    """A queue (QF4xx)."""


class UnknownQueue(QueueError):
    """There is no such queue."""

    code = "QF401"


class PgmqUnsupported(QueueError):
    """pgmq is not installed, or in a version that quantumflow does not support."""

    code = "QF402"


class ForeignQueue(QueueError):
    """The queue is somebody else's, or holds messages of somebody else."""

    code = "QF403"


class DatabaseIsCopy(QueueError):
    """The database is a copy of the one where its runs were started: adopt it first."""

    code = "QF404"


class QueuesInUse(QueueError):
    """Queues cannot be rebuilt, since others hold tasks, runs or messages."""

    code = "QF405"


class ForeignPgmq(QueueError):
    """pgmq belongs to somebody else, whose code would run with the owner's rights."""

    code = "QF406"


class SystemQueue(QueueError):
    """The queue is that of what waits for a time or a signal: no worker serves it."""

    code = "QF407"


class BadLimit(QueueError):
    """A limit cannot be set so: its name or a number is not valid, or there is no number."""

    code = "QF408"


class UnknownCommand(QueueError):
    """No step of any workflow has such a command."""

    code = "QF409"


class AccessError(QuantumflowError):
    """Rights (QF5xx)."""


class BadRole(AccessError):
    """There is no such role, or it owns quantumflow."""

    code = "QF501"


class UnknownAccess(AccessError):
    """A role can be viewer, caller, worker, operator or author."""

    code = "QF502"


class UnknownSetting(AccessError):
    """There is no such setting, or only the owner can change it."""

    code = "QF503"


class BadSettingValue(AccessError):
    """The setting cannot have that value."""

    code = "QF504"


class RealClock(AccessError):
    """The clock can be advanced in databases for tests only."""

    code = "QF505"


class GoalError(QuantumflowError):
    """A goal, what decomposes it, or a graph of tasks (QF6xx)."""


class UnknownGoalType(GoalError):
    """No rule of the decomposer fits the goal."""

    code = "QF601"


class CommandNotAllowed(GoalError):
    """A task has a command that it may not have, or args that its command does not take."""

    code = "QF602"


class TooManyTasks(GoalError):
    """The goal, or the graph, comes to more tasks than there may be."""

    code = "QF603"


class NestedTooDeep(GoalError):
    """Goals are nested in goals deeper than they may be."""

    code = "QF604"


class OutOfPlans(GoalError):
    """More rules were tried, or plans made, than there may be."""

    code = "QF605"


class TypeNotAllowed(GoalError):
    """A task is of a type that it may not be of."""

    code = "QF606"


class KeyNotAllowed(GoalError):
    """A task says something that is not for a task to say."""

    code = "QF607"


class UnknownDecomposer(GoalError):
    """No such decomposer is registered."""

    code = "QF608"


class UnknownGoal(GoalError):
    """There is no such goal."""

    code = "QF609"


class BadGraph(GoalError):
    """It is no graph of tasks."""

    code = "QF610"


class BadGoal(GoalError):
    """A goal, a rule, a decomposer or an option cannot be that."""

    code = "QF612"


class DecompositionTimeout(GoalError):
    """The decomposer takes longer than it may."""

    code = "QF613"


class NotAtOnce(GoalError):
    """A worker is to be asked, and so there is no answer at once."""

    code = "QF614"


class GoalNotRunning(GoalError):
    """The goal has no run that could be cancelled."""

    code = "QF615"


class TooFewRuns(GoalError):
    """Too few runs of a workflow have completed for what its past would have to say."""

    code = "QF611"


class BadLevel(GoalError):
    """There is no such level of learning, or nothing of the kind can be done with a policy."""

    code = "QF616"


class NoPolicy(GoalError):
    """None of the workflow's policies is tried or adopted."""

    code = "QF617"


_BY_CONCEPT: dict[str, type[QuantumflowError]] = {
    "QF1": DefinitionError,
    "QF2": RunError,
    "QF3": TaskError,
    "QF4": QueueError,
    "QF5": AccessError,
    "QF6": GoalError,
}

_BY_CODE: dict[str, type[QuantumflowError]] = {
    error.code: error
    for concept in _BY_CONCEPT.values()
    for error in concept.__subclasses__()
    if error.code is not None
}


def class_of(sqlstate: str) -> type[QuantumflowError]:
    """The class of a `QFnnn` code: its own, else that of its concept."""
    return _BY_CODE.get(sqlstate) or _BY_CONCEPT.get(sqlstate[:3], QuantumflowError)


def translate(error: psycopg.Error) -> QuantumflowError | None:
    """The quantumflow error that a psycopg error stands for; None if it is none of ours."""
    diag = error.diag
    # Raised inside a function, it is about another schema.
    if error.sqlstate == NotInstalled.code and diag.context is None:
        return not_installed(diag.message_primary or str(error))
    if error.sqlstate is None or not error.sqlstate.startswith("QF"):
        return None
    return class_of(error.sqlstate)(
        diag.message_primary or str(error),
        sqlstate=error.sqlstate,
        detail=diag.message_detail,
        hint=diag.message_hint,
    )


class NotInstalled(QuantumflowError):
    """The database has no schema quantumflow: another database, or nothing was installed in it."""

    code = "3F000"


def not_installed(message: str) -> NotInstalled:
    """The error, with what to do about it."""
    return NotInstalled(
        message, hint="quantumflow is not in this database. Install it: quantumflow install."
    )


class RunFailed(QuantumflowError):
    """The run that was waited for has failed.

    Attributes:
        run_id: The run.
        error_message: Why, as the database recorded it.
    """

    def __init__(self, run_id: UUID, error_message: str | None) -> None:
        super().__init__(f"run {run_id} failed: {error_message or 'no reason was given'}")
        self.run_id = run_id
        self.error_message = error_message

    def __reduce__(self) -> tuple[type[RunFailed], tuple[UUID, str | None]]:
        return type(self), (self.run_id, self.error_message)


class DecompositionFailed(QuantumflowError):
    """The goal could not be decomposed, or was cancelled; `detail` says why."""


class RunCancelled(QuantumflowError):
    """The run that was waited for was cancelled.

    Attributes:
        run_id: The run.
        reason: What the canceller said, or None.
    """

    def __init__(self, run_id: UUID, reason: str | None) -> None:
        super().__init__(f"run {run_id} was cancelled" + (f": {reason}" if reason else ""))
        self.run_id = run_id
        self.reason = reason

    def __reduce__(self) -> tuple[type[RunCancelled], tuple[UUID, str | None]]:
        return type(self), (self.run_id, self.reason)


_WHY_LOST = {
    "lost": "another attempt has it, or its deadline has passed",
    "cancelled": "its run has ended",
}


class LeaseLost(QuantumflowError):
    """The task is not this handler's to complete any more: write nothing, and roll back.

    Attributes:
        task: The task.
        state: Why, in the database's word: lost, stale, cancelled, run_ended or duplicate.
    """

    def __init__(self, task: object, state: str, why: str | None = None) -> None:
        why = why or _WHY_LOST.get(state, state)
        super().__init__(f"{task} is not to be done any more: {why}")
        self.task = task
        self.state = state
        self._why = why

    @property
    def is_of_an_ended_run(self) -> bool:
        """Whether it is because the run has ended, cancelled for example."""
        return self.state in {"cancelled", "run_ended"}

    def __reduce__(self) -> tuple[type[LeaseLost], tuple[object, str, str]]:
        return type(self), (self.task, self.state, self._why)


class WaitTimeout(QuantumflowError, TimeoutError):
    """The run had not ended in time; it goes on.

    Attributes:
        run_id: The run.
        status: Its status when last seen, or "unknown".
    """

    def __init__(self, run_id: UUID, status: str, detail: str | None = None) -> None:
        super().__init__(
            f"run {run_id} has not ended in time: its status is {status!r}", detail=detail
        )
        self.run_id = run_id
        self.status = status

    def __reduce__(self) -> tuple[type[WaitTimeout], tuple[UUID, str, str | None]]:
        return type(self), (self.run_id, self.status, self.detail)


class HandlerMissing(QuantumflowError):
    """A worker was asked to serve a command that has no handler."""


class WorkerHung(QuantumflowError):
    """So many handlers hang that their process is no place to work: begin another one.

    They go on in their threads, long after their time is over. The worker has claimed no more,
    finished and reported what else it had, and ended.

    Attributes:
        handlers: How many hang.
    """

    def __init__(self, handlers: int) -> None:
        super().__init__(
            f"{handlers} handlers hang: the worker has ended",
            hint="Begin another process, and look in the log for where they hang.",
        )
        self.handlers = handlers

    def __reduce__(self) -> tuple[type[WorkerHung], tuple[int]]:
        return type(self), (self.handlers,)


class ProcessDied(QuantumflowError):
    """The process of a handler with `process=True` ended before the handler did.

    It crashed, exited, or was killed: when its task's time was over, for example.

    Attributes:
        how: How it ended.
        exit_code: Its exit code; the number of a signal, negative; None if that is not known.
    """

    def __init__(self, how: str, *, exit_code: int | None = None) -> None:
        super().__init__(f"the process of the handler {how}")
        self.how = how
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[Callable[..., ProcessDied], tuple[str, int | None]]:
        return _process_died, (self.how, self.exit_code)


def _process_died(how: str, exit_code: int | None) -> ProcessDied:
    return ProcessDied(how, exit_code=exit_code)


class BadArgument(QuantumflowError, ValueError):
    """An argument is not what the call takes, or a connection string is none."""


class NoDatabase(QuantumflowError):
    """Nothing says which database to work on."""

    def __init__(self) -> None:
        super().__init__(
            "no database is named",
            detail="A client was given no DSN, neither QUANTUMFLOW_DSN nor PGHOST, PGDATABASE and "
            "the like are set, and there is no ./.quantumflow, nor a terminal.",
            hint="Name one: Client(dsn), QUANTUMFLOW_DSN, or libpq's PG* variables. To try things "
            "on a PostgreSQL of one's own: quantumflow dev, or Client('embedded').",
        )

    def __reduce__(self) -> tuple[type[NoDatabase], tuple[()]]:
        return type(self), ()


class ConnectionsBusy(QuantumflowError, TimeoutError):
    """All the connections that a client may have were in use for as long as a call may wait.

    Nothing was asked of the database.

    Attributes:
        max_connections: How many there are.
        seconds: How long the call has waited.
    """

    def __init__(self, max_connections: int, seconds: float) -> None:
        super().__init__(
            f"all {max_connections} connections of the client were in use for {seconds:.1f} s",
            detail="Calls of a client share them: others are slow, or there are too many at once.",
            hint="See what the sessions wait for (pg_stat_activity). If it is only many calls: "
            "max_connections, or connection_timeout, of Client or AsyncClient.",
        )
        self.max_connections = max_connections
        self.seconds = seconds

    def __reduce__(self) -> tuple[type[ConnectionsBusy], tuple[int, float]]:
        return type(self), (self.max_connections, self.seconds)


class UnsupportedValue(QuantumflowError, ValueError):
    """A value cannot be stored as JSON: NaN, a cycle, an object that is no JSON, and the like."""


class PermanentError(Exception):
    """Raised by a handler: the task fails now, whatever attempts are left."""


class RetryAfter(Exception):
    """Raised by a handler: the attempt failed, and the next one, if any, comes after a delay.

    Args:
        delay: How long to wait: a timedelta, or a number of seconds.
        message: Why; recorded as the attempt's error.

    Attributes:
        seconds: The delay.
    """

    def __init__(self, delay: float | timedelta, message: str = "asked to be retried") -> None:
        super().__init__(message)
        self.seconds = delay.total_seconds() if isinstance(delay, timedelta) else float(delay)
        if not 0 <= self.seconds < float("inf"):
            raise ValueError(f"a delay is a finite number of seconds, zero or more, not {delay!r}")

    def __reduce__(self) -> tuple[type[RetryAfter], tuple[float, str]]:
        return type(self), (self.seconds, str(self))
