"""Workflows written in Python: functions become steps, and the whole becomes a definition.

The definition is the JSON that quantumflow.define_flow takes; whether it is right is for the
database to say.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, overload

from ._awaited import AwaitedStep, Signalled, Slept
from ._decomposers import planner_of
from ._sql import DEFAULT_QUEUE
from ._wanted import Wanted
from ._worker.handlers import Handler, is_again, name_of
from ._worker.steps import has_worker, steps_of, wanted_of

if TYPE_CHECKING:
    from typing_extensions import Required, TypeVar, Unpack

    from ._json import Json
    from ._step import ChunkDecorator, MapDecorator, P, Step, StepDecorator, T

    F = TypeVar("F", bound=Callable[..., Any])
    InT = TypeVar("InT", default=Any)
    OutT = TypeVar("OutT", default=Any)
else:
    from typing import TypeVar

    InT = TypeVar("InT")
    OutT = TypeVar("OutT")

Duration = float | timedelta
"""Seconds, or a timedelta."""

StepRef = str | Callable[..., Any] | AwaitedStep[Any]
"""A step: its slug, the function that handles it, or what `sleep`, `wait_for` and `flow`
returned."""

Callback = str | Callable[..., Any]
"""A command, or a function that handles it."""

Kind = Literal["single", "map", "loop", "plan"]
Otherwise = Literal["skip", "fail"]
Join = Literal["all", "any", "none"]
OnError = Literal["fail", "continue"]

_NONE: Any = object()
"""No fallback, no input and no output: None is one."""


class PlaceSettings(TypedDict, total=False):
    """What each step may say of its place in the flow: see `Flow.add_step`."""

    depends_on: Iterable[StepRef]
    if_: str | None
    otherwise: Otherwise | None
    join: Join | None
    after: Iterable[StepRef]
    prefer_after: Iterable[StepRef]
    on_error: OnError | None
    fallback: Json


class StepSettings(PlaceSettings, total=False):
    """What a decorator takes for a step: see `Flow.add_step`, which is called with it.

    Beside that `process`: whether the function is called in a process of its own; see
    `Client.command`.
    """

    process: bool
    command: str | None
    max_attempts: int | None
    max_lost: int | None
    retry_delay: Duration | None
    timeout: Duration | None
    start_delay: Duration | None
    queue: str | None
    args: Json
    limit: str | Mapping[str, str] | None


class MapSettings(StepSettings, total=False):
    """The same for a map."""

    over: StepRef | None
    tolerate: int | str | None


class ChunkSettings(MapSettings, total=False):
    """The same for a map in chunks."""

    chunk_size: Required[int | Literal["auto"]]


class LoopSettings(StepSettings, total=False):
    """The same for a loop, which says by `until` or `while_` when it ends."""

    until: str | None
    while_: str | None
    max_iterations: Required[int]
    delay: Duration | None
    keep: int | None


class PlanSettings(StepSettings, total=False):
    """The same for a plan, which says what its tasks may be."""

    may_use: Required[Sequence[str]]
    may_use_types: Sequence[str] | None
    may_use_flows: Sequence[str] | None
    max_steps: int | None


class Flow(Generic[InT, OutT]):
    """A workflow.

    flow = Flow("order", retry_delay=2)

    @flow.step
    def validate(run): ...

    @flow.step(depends_on=[validate], max_attempts=5)
    def charge(run, validate): ...

    @flow.map(over=validate)
    def notify(item): ...

    client.deploy(flow)
    """

    def __init__(
        self,
        slug: str,
        *,
        title: str | None = None,
        max_attempts: int | None = None,
        max_lost: int | None = None,
        retry_delay: Duration | None = None,
        timeout: Duration | None = None,
        run_timeout: Duration | None = None,
        one_at_a_time: Mapping[str, str] | None = None,
        announce: bool | None = None,
        queue: str | None = None,
        on_complete: Callback | None = None,
        on_failure: Callback | None = None,
        input: type[InT] | None = None,  # noqa: A002, ARG002 - for type checkers
        output: type[OutT] | None = None,
        resources: Iterable[str] = (),
    ) -> None:
        """Begin a workflow. What is not given is left to the database's defaults.

        Args:
            slug: Its name.
            title: A line for people.
            max_attempts: How many attempts of a task may fail.
            max_lost: How many attempts of a task may be lost with their workers.
            retry_delay: How long the first retry waits; doubled each time.
            timeout: How long an attempt may take.
            run_timeout: How long a run may take, from its start; `retry` begins anew.
            one_at_a_time: `{"key": ..., "when_busy": ...}`: runs of the same key, which a jsonpath
                over `$.run` finds, go on one after the other. When one goes on, another waits
                (`queue`, as by default), is not started (`refuse`), or takes its place (`cancel`).
            announce: Whether the ends of its runs are told on channel quantumflow_events, without
                anybody's having asked by `announce_end`.
            queue: Where its tasks wait.
            on_complete: A command to run when a run has completed, or a function for it. It may ask
                for `run` and `output`.
            on_failure: The same for a failed run: `run`, `error` and `failure`.
            input: What its runs are started with, for type checkers.
            output: What `wait` returns of its runs: a dataclass, or whatever else an annotation may
                say, whose members are the outputs of the leaf steps. By default as JSON is.
            resources: What else its functions may ask for by name: what the clients that work on it
                make with `Client.resource`.
        """
        self.slug = slug
        self.output = output
        self.resources = tuple(resources)
        self._processes: set[str] = set()
        self._functions: dict[str, Callable[..., Any]] = {}
        self._steps: dict[str, dict[str, Json]] = {}
        self._slugs: dict[Callable[..., Any], str] = {}
        self._definition = _given(
            slug=slug,
            title=title,
            max_attempts=max_attempts,
            max_lost=max_lost,
            retry_delay=_seconds(retry_delay),
            timeout=_seconds(timeout),
            run_timeout=_seconds(run_timeout),
            one_at_a_time=None if one_at_a_time is None else dict(one_at_a_time),
            announce=announce,
            queue=queue,
            on_complete=self._callback("on_complete", on_complete),
            on_failure=self._callback("on_failure", on_failure),
        )

    @property
    def input(self) -> InT:
        """What stands as a parameter's default where a step wants the run's input."""
        wanted: Any = wanted_of(self.slug)["input"]
        return wanted  # type: ignore[no-any-return]

    @overload
    def step(
        self, function: Callable[P, Coroutine[Any, Any, T]], /
    ) -> Step[P, Coroutine[Any, Any, T], T]: ...

    @overload
    def step(self, function: Callable[P, T], /) -> Step[P, T, T]: ...

    @overload
    def step(
        self, slug: str | None = None, /, **settings: Unpack[StepSettings]
    ) -> StepDecorator: ...

    def step(self, slug_or_function: Any = None, /, **settings: Any) -> Any:
        """Make a function a step with one task: a decorator, with or without arguments.

        It depends on the steps whose `output` is the default of a parameter, without being told:

        @flow.step
        def charge(run: Order = flow.input, checked: Checked = validate.output) -> Paid: ...

        Args:
            slug_or_function: The step's slug; by default the function's name.
            **settings: As for `add_step`; the command is by default `<flow>.<step>`.

        Raises:
            TypeError: The function asks for something that the step's tasks will not have.
        """
        return self._decorator(slug_or_function, "single", settings)

    @overload
    def map(
        self, function: Callable[P, Coroutine[Any, Any, T]], /
    ) -> Step[P, Coroutine[Any, Any, T], list[T]]: ...

    @overload
    def map(self, function: Callable[P, T], /) -> Step[P, T, list[T]]: ...

    @overload
    def map(
        self, slug: str | None = None, /, **settings: Unpack[ChunkSettings]
    ) -> ChunkDecorator: ...

    @overload
    def map(self, slug: str | None = None, /, **settings: Unpack[MapSettings]) -> MapDecorator: ...

    def map(self, slug_or_function: Any = None, /, **settings: Any) -> Any:
        """Make a function a step with a task for each item of an array: a decorator, as `step`.

        It maps over the step whose `each`, or `chunk`, is the default of a parameter.

        Args:
            slug_or_function: The step's slug; by default the function's name.
            **settings: As for `add_step`. Without `over`, the array is the output of the only
                dependency, or, without any, the run's input.
        """
        return self._decorator(slug_or_function, "map", settings)

    def loop(self, slug: str | None = None, /, **settings: Unpack[LoopSettings]) -> StepDecorator:
        """Make a function a step that runs again and again, until a condition says so.

        @flow.loop(until="$.last.score >= 0.9", max_iterations=10)
        def refine(run, last, iteration): ...

        Each iteration is a task, with attempts of its own. Its function may ask for `last`, what
        the one before returned, None at first, and for `iteration`, from 0. What the last one
        returns is the step's output.

        Args:
            slug: The step's slug; by default the function's name.
            **settings: As for `add_step`: `until` or `while_`, and `max_iterations`.
        """
        return self._decorator(slug, "loop", {**settings})  # type: ignore[no-any-return]

    def plan(self, slug: str | None = None, /, **settings: Unpack[PlanSettings]) -> StepDecorator:
        """Make a function a step that plans: what it returns is a graph of tasks, which then runs.

        @flow.plan(depends_on=[order], may_use=["check", "charge", "mail"])
        def decide(order, commands, problems):
            return [{"id": "check"}, {"id": "charge", "depends_on": ["check"]}]

        Its function may ask for `commands`, what the tasks may use, as described, and `problems`,
        what was wrong with the graph that it returned last. The graph is checked in the database,
        and run below this run; what that puts out is the step's output.

        Args:
            slug: The step's slug; by default the function's name.
            **settings: As for `add_step`, with `may_use`. `max_attempts` is how many graphs it may
                return until one is good, and how often it may fail for each.
        """

        def decorate(function: Any) -> Any:
            wanted = self._wanted_by(function, settings)  # type: ignore[arg-type]
            named = {"command": f"{self.slug}.{slug or function.__name__}", **settings, **wanted}
            handler = planner_of(function, self._slugs_of(named.get("depends_on") or ()))
            name = slug or function.__name__
            self._add_function(handler, name, "plan", named)
            self._slugs.setdefault(function, name)
            with suppress(AttributeError):
                function.output = wanted_of(self.slug, name)["output"]
            return function

        return decorate

    def add_step(
        self,
        slug: str,
        *,
        type: Kind = "single",  # noqa: A002
        over: StepRef | None = None,
        chunk_size: int | Literal["auto"] | None = None,
        depends_on: Iterable[StepRef] = (),
        command: str | None = None,
        max_attempts: int | None = None,
        max_lost: int | None = None,
        retry_delay: Duration | None = None,
        timeout: Duration | None = None,
        start_delay: Duration | None = None,
        queue: str | None = None,
        args: Json = None,
        if_: str | None = None,
        otherwise: Otherwise | None = None,
        join: Join | None = None,
        after: Iterable[StepRef] = (),
        prefer_after: Iterable[StepRef] = (),
        on_error: OnError | None = None,
        fallback: Json = _NONE,
        tolerate: int | str | None = None,
        until: str | None = None,
        while_: str | None = None,
        max_iterations: int | None = None,
        delay: Duration | None = None,
        keep: int | None = None,
        limit: str | Mapping[str, str] | None = None,
        may_use: Sequence[str] | None = None,
        may_use_types: Sequence[str] | None = None,
        may_use_flows: Sequence[str] | None = None,
        max_steps: int | None = None,
    ) -> None:
        """Add a step that is handled elsewhere.

        Args:
            slug: The step's name.
            type: `single`, `map`, `loop` or `plan`.
            over: For a map: the step whose output it maps over, which needs not be named in
                `depends_on` too.
            chunk_size: For a map: how many items a task has. Its handler asks for `items`, and
                returns as many outputs.
            depends_on: The steps it waits for: slugs, or functions of this flow.
            command: The command that executes it; the database's default is the slug.
            max_attempts: As for the flow.
            max_lost: As for the flow.
            retry_delay: As for the flow.
            timeout: As for the flow.
            start_delay: How long the step waits once it is ready.
            queue: Where its tasks wait.
            args: What its handler receives unchanged: any JSON.
            if_: A condition, as PostgreSQL's jsonpath over `$.run` and each dependency: the step
                runs only if it is true. The definition's key is `if`.
            otherwise: What false means: the step is skipped, as by default, or fails.
            join: How many of its dependencies must have completed, or it is skipped: `all` of them,
                as by default, `any`, or `none`.
            after: Steps that it waits for, however they end, and whose outputs it is not given.
            prefer_after: The same, where the order is only a wish.
            on_error: What its final failure means: its run fails, as by default, or goes on
                without it.
            fallback: Its output when it fails for good: any JSON, None too. The run goes on.
            tolerate: For a map: how many of its tasks may fail, or which share, as in `"5%"`.
            until: For a loop: a condition like `if_`, which may ask for `$.last` and `$iteration`
                too. It is asked after each iteration, and ends the loop when it is true.
            while_: The same, which ends the loop when it is false. The definition's key is `while`.
            max_iterations: For a loop: so many iterations without an end are a failure.
            delay: For a loop: how long an iteration waits after the one before.
            keep: For a loop: how many iterations are kept as history; the database's default is
                100.
            limit: The limit of its tasks, by its name; or `{"name": ..., "key": ...}`, where the
                key is a jsonpath over the step's input, and over `$.item` in a map: each key has
                the limit for itself. See `Client.set_limit`.
            may_use: For a plan: the commands that its tasks may have.
            may_use_types: For a plan: of which types its tasks may be, `single` and `map` by
                default; `flow` and `plan` besides.
            may_use_flows: For a plan: the workflows of which its tasks may start runs.
            max_steps: For a plan: how many tasks it may come to.

        Raises:
            ValueError: The flow has the step already, or a function is no step of it.
        """
        map_over = None if over is None else self._slug_of(over)
        place: PlaceSettings = {
            "depends_on": depends_on if map_over is None else (*depends_on, map_over),
            "if_": if_,
            "otherwise": otherwise,
            "join": join,
            "after": after,
            "prefer_after": prefer_after,
            "on_error": on_error,
            "fallback": fallback,
        }
        self._add(
            slug,
            place,
            type=None if type == "single" else type,
            command=command,
            args=args,
            map_over=map_over,
            chunk_size=chunk_size,
            max_attempts=max_attempts,
            max_lost=max_lost,
            retry_delay=_seconds(retry_delay),
            timeout=_seconds(timeout),
            start_delay=_seconds(start_delay),
            queue=queue,
            tolerate=tolerate,
            until=until,
            max_iterations=max_iterations,
            delay=_seconds(delay),
            keep=keep,
            limit=dict(limit) if isinstance(limit, Mapping) else limit,
            may_use=None if may_use is None else list(may_use),
            may_use_types=None if may_use_types is None else list(may_use_types),
            may_use_flows=None if may_use_flows is None else list(may_use_flows),
            max_steps=max_steps,
            **{"while": while_},
        )

    def sleep(
        self,
        slug: str,
        *,
        seconds: Duration | None = None,
        at: str | None = None,
        **place: Unpack[PlaceSettings],
    ) -> AwaitedStep[Slept]:
        """Add a step that lets time pass. It holds no worker.

        flow.sleep("cool_down", seconds=timedelta(hours=1), depends_on=[charge])

        Args:
            slug: The step's name.
            seconds: How long, from when it is ready.
            at: Until when: a jsonpath over the step's input that leads to a time in ISO 8601, as in
                `$.run.due`. Either this or seconds.
            **place: As for `add_step`.

        Returns:
            The step, for `depends_on` and, by its `output`, the defaults of parameters.

        Raises:
            ValueError: The flow has the step already, or a function is no step of it.
        """
        self._add(slug, place, type="sleep", seconds=_seconds(seconds), at=at)
        return AwaitedStep(self.slug, slug)

    @overload
    def wait_for(
        self,
        slug: str,
        signal: str | None = None,
        *,
        payload: type[T],
        timeout: Duration | None = None,
        **place: Unpack[PlaceSettings],
    ) -> AwaitedStep[T]: ...

    @overload
    def wait_for(
        self,
        slug: str,
        signal: str | None = None,
        *,
        payload: None = None,
        timeout: Duration | None = None,
        **place: Unpack[PlaceSettings],
    ) -> AwaitedStep[Any]: ...

    @overload
    def wait_for(
        self,
        slug: str,
        signal: list[str] | tuple[str, ...],
        *,
        payload: None = None,
        timeout: Duration | None = None,
        **place: Unpack[PlaceSettings],
    ) -> AwaitedStep[Signalled]: ...

    def wait_for(
        self,
        slug: str,
        signal: str | list[str] | tuple[str, ...] | None = None,
        *,
        payload: type[Any] | None = None,  # noqa: ARG002 - for type checkers
        timeout: Duration | None = None,
        **place: Unpack[PlaceSettings],
    ) -> AwaitedStep[Any]:
        """Add a step that waits for a signal. It holds no worker.

        flow.wait_for("approved", timeout=timedelta(days=3), depends_on=[order])

        `Client.signal` sends one. What is sent before the step waits is kept for it.

        Args:
            slug: The step's name.
            signal: The signal's name, the slug if none is given: its payload is the step's output.
                Or several, of which the first that comes wins: the output says which, as `signal`,
                beside the `payload`.
            payload: What is sent with the signal, for type checkers.
            timeout: How long it waits. Then the step fails, kind `timeout`; `fallback` and
                `on_error` say what that means. By default there is no end to it.
            **place: As for `add_step`.

        Returns:
            The step, for `depends_on` and, by its `output`, the defaults of parameters.

        Raises:
            ValueError: The flow has the step already, or a function is no step of it.
        """
        several = signal if isinstance(signal, (list, tuple)) else None
        self._add(
            slug,
            place,
            type="wait",
            signal=signal if several is None else None,
            signals=None if several is None else [*several],
            timeout=_seconds(timeout),
        )
        return AwaitedStep(self.slug, slug)

    @overload
    def flow(
        self,
        slug: str,
        flow: Flow[Any, T],
        *,
        version: int | None = None,
        input: Json = _NONE,
        timeout: Duration | None = None,
        max_attempts: int | None = None,
        until: str | None = None,
        while_: str | None = None,
        max_iterations: int | None = None,
        delay: Duration | None = None,
        keep: int | None = None,
        **place: Unpack[PlaceSettings],
    ) -> AwaitedStep[T]: ...

    @overload
    def flow(
        self,
        slug: str,
        flow: str | Flow[Any, Any],
        *,
        version: int | None = None,
        input: Json = _NONE,
        output: Json = _NONE,
        over: StepRef | None = None,
        each: bool = False,
        max_children: int | None = None,
        timeout: Duration | None = None,
        max_attempts: int | None = None,
        until: str | None = None,
        while_: str | None = None,
        max_iterations: int | None = None,
        delay: Duration | None = None,
        keep: int | None = None,
        **place: Unpack[PlaceSettings],
    ) -> AwaitedStep[Any]: ...

    def flow(
        self,
        slug: str,
        flow: str | Flow[Any, Any],
        *,
        version: int | None = None,
        input: Json = _NONE,  # noqa: A002
        output: Json = _NONE,
        over: StepRef | None = None,
        each: bool = False,
        max_children: int | None = None,
        timeout: Duration | None = None,
        max_attempts: int | None = None,
        until: str | None = None,
        while_: str | None = None,
        max_iterations: int | None = None,
        delay: Duration | None = None,
        keep: int | None = None,
        **place: Unpack[PlaceSettings],
    ) -> AwaitedStep[Any]:
        """Add a step that starts a run of a workflow, a child, and waits for it, without a worker.

        paid = flow.flow("pay", payment, input={"amount": "$.order.total"}, depends_on=[order])

        In `input` and `output` a text that begins with a dollar is a jsonpath, and stands for the
        one value that it finds; two dollars begin a text with one.

        Args:
            slug: The step's name.
            flow: The workflow, or its slug. It must be deployed first.
            version: Its version; by default the one that is current when the child starts.
            input: What the child is given: any JSON, over the step's input, `$.run` and each
                dependency. By default that input.
            output: The step's output: any JSON, over the child's output. By default that output, an
                object by leaf step.
            over: Makes it a map, with a child for each item of this step's output. Its input is the
                item unless `input` says more, of `$.item`, `$.index`, `$.run` and each dependency;
                the step's output is an array of theirs.
            each: The same over the array that the only dependency puts out, or that the run was
                started with.
            max_children: How many children of a map go on at once; 100 by default.
            timeout: How long the child may take. By default there is no end to it.
            max_attempts: How often the child is run, if it fails: each time it goes on from what it
                had finished. Once, by default.
            until: Makes it a loop, with a child an iteration, until this is true, as for
                `add_step`; `input` may ask for `$.last` and `$.iteration` too.
            while_: The same, while this is true.
            max_iterations: As for `add_step`.
            delay: As for `add_step`.
            keep: As for `add_step`.
            **place: As for `add_step`.

        Returns:
            The step, for `depends_on` and, by its `output`, the defaults of parameters.

        Raises:
            ValueError: The flow has the step already, or a function is no step of it.
        """
        map_over = None if over is None else self._slug_of(over)
        if map_over is not None:
            place = {**place, "depends_on": (*place.get("depends_on", ()), map_over)}
        is_map = each or map_over is not None
        is_loop = until is not None or while_ is not None
        self._add(
            slug,
            place,
            type="map" if is_map else "loop" if is_loop else "flow",
            map_over=map_over,
            flow=flow.slug if isinstance(flow, Flow) else flow,
            flow_version=version,
            max_children=max_children,
            timeout=_seconds(timeout),
            max_attempts=max_attempts,
            until=until,
            max_iterations=max_iterations,
            delay=_seconds(delay),
            keep=keep,
            **{"while": while_},
        )
        for key, template in (("input", input), ("output", output)):
            if template is not _NONE:
                self._steps[slug][key] = template
        return AwaitedStep(self.slug, slug)

    def _add(self, slug: str, place: PlaceSettings, **own: Json) -> None:
        """Add a step: what it says of its place in the flow, and what is its own."""
        if slug in self._steps:
            raise ValueError(f"flow {self.slug!r} has a step {slug!r} already")
        waited_for = {
            "dependencies": place.get("depends_on", ()),
            "after": place.get("after", ()),
            "prefer_after": place.get("prefer_after", ()),
        }
        self._steps[slug] = _given(
            name=slug,
            **own,
            **{key: self._slugs_of(steps) or None for key, steps in waited_for.items()},
            otherwise=place.get("otherwise"),
            join=place.get("join"),
            on_error=place.get("on_error"),
            **{"if": place.get("if_")},
        )
        if (fallback := place.get("fallback", _NONE)) is not _NONE:
            self._steps[slug]["fallback"] = fallback

    def definition(self) -> dict[str, Json]:
        """The definition, as quantumflow.define_flow takes it."""
        steps = [dict(step) for step in self._steps.values()]
        return {"version": "1.0", **self._definition, "steps": steps}

    def handlers(self) -> dict[str, Callable[..., Any]]:
        """The functions of the flow, by command."""
        return dict(self._functions)

    def processes(self) -> set[str]:
        """The commands whose functions are called in processes of their own."""
        return set(self._processes)

    def queues(self) -> list[str]:
        """The queues where the flow's tasks wait."""
        usual = self._definition.get("queue", DEFAULT_QUEUE)
        callbacks = [usual] if {"on_complete", "on_failure"} & self._definition.keys() else []
        steps = [step.get("queue", usual) for step in self._steps.values() if has_worker(step)]
        return list(dict.fromkeys([*steps, *callbacks]))

    def _decorator(self, slug_or_function: Any, kind: Kind, settings: dict[str, Any]) -> Any:
        if callable(slug_or_function):
            return self._add_function(slug_or_function, None, kind, settings)
        return lambda function: self._add_function(function, slug_or_function, kind, settings)

    def _add_function(
        self, function: F, slug: str | None, kind: Kind, settings: dict[str, Any]
    ) -> F:
        is_process = settings.get("process", False)
        handler = Handler.of(function, process=is_process)
        slug = slug or getattr(function, "__name__", None)
        if slug is None:
            raise TypeError(f"{function!r} has no name: say the step's, as in flow.step('name')")
        command = settings.get("command") or f"{self.slug}.{slug}"
        before = self._functions.get(command)
        if before is not None and not is_again(function, before):
            raise ValueError(f"command {command!r} has a handler already: {name_of(before)}")
        named = {**settings, "command": command, **self._wanted_by(function, settings)}
        named.pop("process", None)
        steps = dict(self._steps)
        if before is not None:
            self._steps.pop(slug, None)
        try:
            self.add_step(slug, type=kind, **named)
            for step in steps_of({"slug": self.slug, "steps": [self._steps[slug]]}):
                step.refuse_unless_it_suits(handler.parameters, self.resources)
        except BaseException:
            self._steps = steps
            raise
        self._functions[command] = function
        (self._processes.add if is_process else self._processes.discard)(command)
        self._slugs.setdefault(function, slug)
        in_chunks = "chunk_size" in self._steps[slug]
        for attribute, wanted in wanted_of(self.slug, slug, in_chunks=in_chunks).items():
            if not hasattr(function, attribute):
                with suppress(AttributeError):  # of a bound method, say: it is not asked for then
                    setattr(function, attribute, wanted)
        return function

    def _wanted_by(self, function: Callable[..., Any], settings: dict[str, Any]) -> dict[str, Any]:
        """What a function's defaults say that its step depends on, and maps over.

        Raises:
            ValueError: They are of another flow, or contradict `over`.
        """
        defaults = [p.default for p in inspect.signature(function).parameters.values()]
        wanted = [default for default in defaults if isinstance(default, Wanted)]
        depends_on = self._slugs_of(settings.get("depends_on") or ())
        over = settings.get("over")
        over = None if over is None else self._slug_of(over)
        for each in wanted:
            if each.flow != self.slug:
                raise ValueError(
                    f"{name_of(function)} wants {each}, and is to be a step of {self.slug!r}: name "
                    "that in depends_on, and a parameter like it"
                )
            if each.step is None:
                continue
            if each.name == each.step:
                depends_on.append(each.step)
            elif over in (None, each.step):
                over = each.step
            else:
                raise ValueError(f"{name_of(function)} wants {each}, and maps over {over!r}")
        found = {"depends_on": list(dict.fromkeys(depends_on)), "over": over}
        return {name: value for name, value in found.items() if value}

    def _callback(self, name: str, callback: Callback | None) -> str | None:
        if callback is None or isinstance(callback, str):
            return callback
        command = f"{self.slug}.{name}"
        handler = Handler.of(callback)
        for step in steps_of({"slug": self.slug, "steps": [], name: command}):
            step.refuse_unless_it_suits(handler.parameters, self.resources)
        self._functions[command] = callback
        return command

    def _slugs_of(self, steps: Iterable[StepRef]) -> list[str]:
        """The slugs of steps, each once.

        Raises:
            TypeError: It is one slug, whose letters would be taken for steps.
        """
        if isinstance(steps, str):
            raise TypeError(f"{steps!r} is one step where a list of steps is wanted: [{steps!r}]")
        return list(dict.fromkeys(map(self._slug_of, steps)))

    def _slug_of(self, step: StepRef) -> str:
        if isinstance(step, str):
            return step
        if isinstance(step, AwaitedStep) and step.flow == self.slug:
            return step.slug
        if step not in self._slugs:
            raise ValueError(f"{step!r} is no step of flow {self.slug!r}: decorate it first")
        return self._slugs[step]


def _given(**settings: Json) -> dict[str, Json]:
    return {name: value for name, value in settings.items() if value is not None}


def _seconds(duration: Duration | None) -> float | None:
    if not isinstance(duration, timedelta):
        return duration
    seconds = duration.total_seconds()
    return int(seconds) if seconds == int(seconds) else seconds
