"""Goals and graphs that are done at once, by a worker of the client itself."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from . import _arguments, _json, _sql
from ._decomposers import Decomposer, decomposer_of
from .errors import (
    BadArgument,
    QuantumflowError,
    RunCancelled,
    RunFailed,
)

if TYPE_CHECKING:
    from uuid import UUID

    from ._borrowed import Borrowed
    from ._json import Json

from ._calls import ClientCalls
from ._goals import NOTHING, ExecutionResult, Goal, Steps

F = TypeVar("F", bound=Callable[..., Any])


class Composing(ClientCalls):
    """What a client can do about goals that has handlers, too."""

    _decomposers: dict[str, Decomposer]

    if TYPE_CHECKING:

        def _working(self, steps: Steps, queues: Sequence[str]) -> Any: ...

        def command(self, name: str) -> Callable[[Any], Any]: ...

    def decomposer(
        self,
        name: str,
        *,
        may_use: Sequence[str],
        version: str = "1",
        max_depth: int | None = None,
        timeout: timedelta | None = None,
        cache_for: timedelta | None = None,
    ) -> Callable[[F], F]:
        """Let a function make tasks of goals: a decorator.

        @client.decomposer("shop", may_use=["pick", "mail"])
        def shop(goal, problems):
            return [{"id": "pick"}, {"id": "mail", "depends_on": ["pick"]}]

        It asks by name for `goal`, `context`, `args`, `depth`, `commands` (what it may use, with
        what `describe_command` says) and `problems` (what was wrong with what it returned last);
        and returns a graph of tasks. It is a handler of the command of its name, which a worker
        serves, and registered by `deploy_decomposers`.

        Args:
            name: The decomposer's name.
            may_use: As for `register_decomposer`.
            version: As for `register_decomposer`.
            max_depth: As for `register_decomposer`.
            timeout: As for `register_decomposer`.
            cache_for: As for `register_decomposer`.

        Raises:
            TypeError: It asks for something else.
            ValueError: The command has another handler.
        """

        def register(function: F) -> F:
            made = decomposer_of(
                function,
                name,
                may_use=_arguments.names("may_use", may_use),
                version=version,
                max_depth=max_depth,
                timeout=timeout,
                cache_for=cache_for,
            )
            self.command(name)(made.handler)
            self._decomposers[name] = made
            return function

        return register

    def deploy_decomposers(self, *, connection: Borrowed | None = None) -> list[str]:
        """Register the decomposers that are functions here, in the database.

        Args:
            connection: As for `start_flow`.

        Returns:
            Their names.

        Raises:
            BadGoal: One cannot be that.

        Calls quantumflow.register_decomposer.
        """
        for name, made in self._decomposers.items():
            self.register_decomposer(
                name, "command", command=name, **made.options, connection=connection
            )
        return list(self._decomposers)

    def compose_from_task_graph(
        self,
        graph: Json,
        steps: Steps | None = None,
        *,
        input: Json = NOTHING,  # noqa: A002
        options: Mapping[str, Json] = NOTHING,
        timeout: float | timedelta | None = None,
    ) -> ExecutionResult:
        """Make a workflow of a graph of tasks, run it, and wait until it has ended.

        Args:
            graph: As for `create_workflow`.
            steps: The functions for the tasks, by command, which are called here; None: somebody
                else works.
            input: What the run is started with.
            options: As for `create_workflow`.
            timeout: As for `wait`.

        Returns:
            What came of it, also where it was refused, or failed.

        Raises:
            WaitTimeout: It had not ended in time.

        Calls quantumflow.create_flow_from_graph, start_flow, status, step_output.
        """
        try:
            made = self.create_workflow(graph, steps, options)
        except QuantumflowError as error:
            return ExecutionResult.refused(None, error)
        with self._serving(steps, options):
            run_id = self.start_flow(made.workflow_slug, input)
            with suppress(RunFailed, RunCancelled):
                self.wait(run_id, timeout)
        return self._result_of_run(run_id, graph)

    def _result_of_run(self, run_id: UUID, graph: Json) -> ExecutionResult:
        run = self.status(run_id)
        done = [step["step_slug"] for step in run["steps"] if step["status"] == "completed"]
        assert run["ended_at"] is not None
        began, ended = map(datetime.fromisoformat, (run["created_at"], run["ended_at"]))
        return ExecutionResult(
            goal=None,
            goal_id=None,
            run_id=run_id,
            status=run["status"],
            outputs={step: self._output(run_id, step) for step in done},
            output=run["output"],
            error=run["error_message"],
            duration=ended - began,
            graph=graph,
        )

    def _output(self, run_id: UUID, step: str) -> Json:
        text_ = self._run(_sql.tasks.step_output(run_id, step), None)
        return None if text_ is None else _json.decode(text_)

    def compose_from_goal(
        self,
        goal: str,
        decomposer: str | Callable[..., Any],
        steps: Steps | None = None,
        *,
        context: Mapping[str, Json] = NOTHING,
        options: Mapping[str, Json] = NOTHING,
        timeout: float | timedelta | None = None,
    ) -> ExecutionResult:
        """Have a goal decomposed, its tasks done, and wait until it has ended.

        Args:
            goal: As for `start_goal`.
            decomposer: The name of a decomposer; or a function of the goal that returns tasks,
                which is registered by its name, is called here, and may use the steps.
            steps: As for `compose_from_task_graph`.
            context: As for `start_goal`.
            options: As for `start_goal`.
            timeout: As for `wait`.

        Returns:
            What came of it, also where it could not be decomposed, or failed.

        Raises:
            WaitTimeout: It had not ended in time.

        Calls quantumflow.execute_goal, goal_status, status.
        """
        name, steps = self._named(decomposer, steps)
        with self._serving(steps, options):
            try:
                return self.execute_goal(goal, name, context, options, timeout=timeout)
            except (RunFailed, RunCancelled):
                raise
            except QuantumflowError as error:
                if error.sqlstate is None:
                    raise
                return ExecutionResult.refused(goal, error)

    def compose_multiple_workflows(
        self,
        goals: Sequence[Goal],
        decomposer: str | Callable[..., Any],
        steps: Steps | None = None,
        *,
        options: Mapping[str, Json] = NOTHING,
        timeout: float | timedelta | None = None,
    ) -> list[ExecutionResult]:
        """Have several goals decomposed and done at once, and wait until all have ended.

        Args:
            goals: As for `start_goals`.
            decomposer: As for `compose_from_goal`.
            steps: As for `compose_from_task_graph`.
            options: As for `start_goal`.
            timeout: As for `wait`, for each of them.

        Returns:
            What came of each, in their order: one that fails hides no other.

        Raises:
            WaitTimeout: One had not ended in time.
            UnknownDecomposer, BadGoal: As for `start_goals`.

        Calls quantumflow.execute_goals, goal_status, status.
        """
        name, steps = self._named(decomposer, steps)
        with self._serving(steps, options):
            return self.execute_goals(goals, name, options, timeout=timeout)

    def _named(
        self, decomposer: str | Callable[..., Any], steps: Steps | None
    ) -> tuple[str, Steps | None]:
        """The name of a decomposer, and the functions that are called here, its own with them."""
        if not callable(decomposer):
            return decomposer, steps
        given = _arguments.mapping("steps", steps or {})
        name = re.sub(r"\W", "_", getattr(decomposer, "__name__", "decomposer")).strip("_")
        made = decomposer_of(decomposer, name or "decomposer", may_use=list(given))
        self.register_decomposer(made.name, "command", command=made.name, **made.options)
        return made.name, {**given, made.name: made.handler}

    @contextmanager
    def _serving(self, steps: Steps | None, options: Mapping[str, Any]) -> Iterator[None]:
        """Meanwhile, a worker here that calls these functions, if there are some."""
        for command, function in _arguments.mapping("steps", steps or {}).items():
            if not callable(function):
                raise BadArgument(f"steps has {function!r} for {command!r}: it is a function")
        if not steps:
            yield
            return
        queue = _arguments.mapping("options", options).get("queue", _sql.DEFAULT_QUEUE)
        worker = self._working(steps, [queue])
        thread = threading.Thread(target=worker.run, name="quantumflow-steps", daemon=True)
        thread.start()
        try:
            yield
        finally:
            worker.stop()
            thread.join()
