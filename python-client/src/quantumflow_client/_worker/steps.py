"""Steps of the flows at hand: what their tasks are given, and which handlers that suits.

A definition is only read here, as far as it can be: whether it is right is for the database to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantumflow_client._wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from quantumflow_client._json import Json
    from quantumflow_client.context import Context

CONTEXT = "ctx"
WHOLE = "input"

# What a parameter of each name means. That no step may be called so is the database's business.
GIVEN = frozenset({WHOLE, CONTEXT, "args"})
OF_A_RUN = frozenset({"run"})
OF_AN_ITEM = frozenset({"item", "index"})
OF_A_CHUNK = frozenset({"items", "index"})

OF_A_TASK = OF_AN_ITEM ^ OF_A_CHUNK
"""What no task has together."""

OF_A_LOOP = frozenset({"iteration", "last"})

OF_A_PLAN = frozenset({"problems", "commands", "flows", "types", "max_steps"})
"""What a planner is told, beside what its step has."""

GIVEN_TO_PLANNERS = OF_A_PLAN | OF_A_RUN | GIVEN - {WHOLE}

_WITHOUT_A_WORKER = frozenset({"sleep", "wait", "flow"})

_OF_CALLBACKS = {
    "on_complete": frozenset({"run", "output"}),
    "on_failure": frozenset({"run", "error", "failure"}),
}

RESERVED = frozenset.union(
    GIVEN, OF_A_RUN, OF_AN_ITEM, OF_A_CHUNK, OF_A_LOOP, *_OF_CALLBACKS.values()
)
"""What no resource can be called."""


def wanted_of(flow: str, step: str | None = None, *, in_chunks: bool = False) -> dict[str, Wanted]:
    """What may be wanted of a step, or of the run, by what Python calls it."""
    if step is None:
        return {"input": Wanted(flow, None, "run")}
    names = {"output": step, "each": "item", "chunk": "items"}
    return {attribute: Wanted(flow, step, name, in_chunks) for attribute, name in names.items()}


@dataclass(frozen=True, slots=True)
class Step:
    """A step, or a callback, of a flow at hand.

    Attributes:
        flow: The flow's slug.
        slug: The step's.
        command: Its command.
        kind: What its tasks are: single, map, loop, plan or callback.
        names: What a handler may ask for by name, besides `input`, `ctx` and `args`.
        in_chunks: Whether a task of the map has several items.
    """

    flow: str
    slug: str
    command: str
    kind: str
    names: frozenset[str]
    in_chunks: bool = False

    def refuse_unless_it_suits(
        self, parameters: Mapping[str, bool], resources: Collection[str] = ()
    ) -> None:
        """Refuse a handler that its tasks could never call.

        Args:
            parameters: The names that the handler asks for, and whether it can do without.
            resources: What else it may ask for.

        Raises:
            TypeError: It asks for something that no task of the step will have.
        """
        wants = [
            name
            for name, is_optional in parameters.items()
            if not is_optional
            and name not in GIVEN
            and name not in self.names
            and name not in resources
        ]
        if wants:
            there_is = listed(sorted(GIVEN | self.names))
            if resources:
                there_is += f", and the resources {listed(sorted(resources))}"
            raise TypeError(
                f"the function of step {self.slug!r} asks for {listed(wants)}: {self._described()} "
                f"has {there_is}"
            )

    def another_than(self, ctx: Context, parameters: Mapping[str, bool]) -> str | None:
        """How a task is of another step than this one: of that in another version.

        Args:
            ctx: The task.
            parameters: What its handler asks for.

        Returns:
            What is different; None: nothing that can be seen.
        """
        is_map = self.kind == "map"
        # Who names nothing of the input, or takes it as a whole, takes any: it is not even read.
        takes_any = WHOLE in parameters or parameters.keys() <= GIVEN
        is_same = ctx.is_map_task == is_map
        if is_same and not takes_any and self.kind != "callback":
            is_same = ctx.is_iteration == (self.kind == "loop")
        if is_same and is_map and not takes_any:
            is_same = (OF_A_CHUNK if self.in_chunks else OF_AN_ITEM) <= ctx.input.keys()
        if not is_same:
            kind = f"{self.kind} step{' in chunks' if self.in_chunks else ''}"
            return f"here it is a {kind}, and the task's input has {listed(ctx.input)}"
        if self.kind not in ("single", "loop") or takes_any:
            return None
        others = [name for name in ctx.input if name not in self.names and name not in parameters]
        if not others:
            return None
        return f"the task has {listed(others)}, on which the step does not depend here"

    def _described(self) -> str:
        if self.kind == "callback":
            return "a callback"
        dependencies = self.names - OF_A_RUN - OF_AN_ITEM - OF_A_CHUNK
        if self.kind == "loop":
            dependencies -= OF_A_LOOP
        on = listed(sorted(dependencies)) or "nothing"
        return f"a {self.kind} step that depends on {on}"


def has_worker(step: Mapping[str, Json]) -> bool:
    """Whether workers are given the tasks of a step, so that there is a handler of them."""
    return step.get("type") not in _WITHOUT_A_WORKER and "flow" not in step


def steps_of(definition: Json, slug: str | None = None) -> Iterator[Step]:
    """The steps that workers are given, and callbacks, as far as a definition can be read."""
    if not isinstance(definition, Mapping):
        return
    flow, steps = definition.get("slug", slug), definition.get("steps")
    if not isinstance(flow, str) or not isinstance(steps, (list, tuple)):
        return
    for step in steps:
        if isinstance(step, Mapping) and has_worker(step):
            name = step.get("name", step.get("slug"))
            command = step.get("command", name)
            if isinstance(name, str) and isinstance(command, str):
                yield _step_of(flow, name, command, step)
    for event, names in _OF_CALLBACKS.items():
        command = definition.get(event)
        if isinstance(command, str):
            yield Step(flow, f"_{event}", command, "callback", names)


def _step_of(flow: str, name: str, command: str, step: Mapping[str, Json]) -> Step:
    depends_on = step.get("dependencies", step.get("depends_on"))
    names = set(OF_A_RUN)
    if isinstance(depends_on, (list, tuple)):
        names |= {dependency for dependency in depends_on if isinstance(dependency, str)}
    if step.get("type") == "plan":
        # It is asked in a run of its own, whose input is what the step has.
        return Step(flow, name, command, "plan", OF_A_RUN)
    if step.get("type") == "loop":
        return Step(flow, name, command, "loop", frozenset(names | OF_A_LOOP))
    if step.get("type") != "map":
        return Step(flow, name, command, "single", frozenset(names))
    in_chunks = step.get("chunk_size") is not None
    names |= OF_A_CHUNK if in_chunks else OF_AN_ITEM
    return Step(flow, name, command, "map", frozenset(names), in_chunks)


def listed(names: Iterable[str]) -> str:
    """Names, for people."""
    return ", ".join(map(repr, names))
