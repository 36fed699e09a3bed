"""The workflows of the chaos, what their handlers compute, and the same computed without an engine.

What a task returns depends on all that it is given, in its order, and on nothing else. How it
misbehaves on the way there depends on its key and the number of the attempt.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uuid import UUID

Json = Any

PATIENT: dict[str, Any] = {
    "max_attempts": 1000,
    "max_lost": 1000,
    "retry_delay": 0.05,
    "timeout": 30,
}
"""Limits that no task reaches, whatever breaks: then every run ends as the model says.

A transaction whose network is gone keeps its task until the deadline, so that is not far.
"""

EFFECTS = {"effect", "aeffect"}
"""The commands that write in the task's own transaction."""

CONDITIONS: dict[str, Callable[[Mapping[str, Json]], bool | None]] = {
    "$.n % 2 == 0": lambda given: given["n"] % 2 == 0,
    "!($.n % 2 == 0)": lambda given: given["n"] % 2 != 0,
    # A map's places may be null; of one that is empty, or not there, nothing can be said.
    "$.each[0] != null": lambda given: given["each"][0] is not None if given.get("each") else None,
    '$status.each == "failed"': lambda given: bool(given["$status"]["each"] == "failed"),
}
"""The conditions that there are, and the same in Python; None: neither true nor false."""

QUEUES = ("quantum_flow_queue", "chaos_side_queue")

PATIENT_FLOW = "patient"
"""The workflow whose runs wait for signals."""

DROPPED_QUEUE = "chaos_dropped_queue"
"""A queue that is dropped and made again while work goes on."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A workflow, and how it is treated.

    Attributes:
        definition: What define_flow is given.
        weight: How often it is started.
        ends: What becomes of its runs if nobody cancels them.
        widest: For a workflow that maps over its input: how many items that has at most.
        is_steered: Whether the operator may pause, cancel and retry its runs.
    """

    definition: dict[str, Any]
    weight: int
    ends: frozenset[str] = frozenset({"completed"})
    widest: int | None = None
    is_steered: bool = True

    @property
    def is_innocent(self) -> bool:
        """Whether no run of it may fail, whatever its neighbours do."""
        return "failed" not in self.ends

    @property
    def slug(self) -> str:
        return str(self.definition["slug"])

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        return {step["name"]: step for step in self.definition["steps"]}

    @property
    def decides(self) -> bool:
        """Whether its runs may go on without a step, or a task."""
        return any(
            step.keys() & {"on_error", "fallback", "tolerate"} for step in self.steps.values()
        )

    @property
    def has_effects(self) -> bool:
        """Whether steps, not only callbacks, leave rows in chaos.effects."""
        return any(step.get("command") in EFFECTS for step in self.steps.values())

    def input(self, chance: random.Random) -> Json:
        if self.widest is None:
            return {"number": chance.randrange(10**9)}
        return [chance.randrange(10**9) for _ in range(chance.randrange(self.widest + 1))]


def step(name: str, *dependencies: str, **more: Any) -> dict[str, Any]:
    """A step that returns a number; `makes` and `trouble` go to its handler."""
    args = {key: more.pop(key) for key in ("makes", "trouble") if key in more}
    return {
        "name": name,
        "dependencies": list(dependencies),
        "command": more.pop("command", "count"),
        "args": {"name": name} | args,
    } | more


def a_map(name: str, *dependencies: str, **more: Any) -> dict[str, Any]:
    return step(name, *dependencies, type="map", **more)


def waiting(name: str, *dependencies: str, **more: Any) -> dict[str, Any]:
    """A step that no worker is given."""
    return {"name": name, "dependencies": list(dependencies)} | more


def answer(run_input: Json) -> Json:
    """What a run is sent by who answers it."""
    return digest(["the answer", run_input])


def kinds(seed: int) -> list[Kind]:
    """All workflows: those of known shapes, and some of random ones."""
    chance = random.Random(f"{seed} flows")
    return [*_known(), *(_random(chance, n) for n in range(8))]


def _known() -> list[Kind]:
    def flow(slug: str, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
        return PATIENT | {"slug": slug, "steps": list(steps)} | more

    diamond = [
        step("top"),
        step("left", "top", command="acount"),
        step("right", "top"),
        step("bottom", "left", "right", command="effect"),
    ]
    return [
        Kind(flow("single", step("only")), 10),
        Kind(flow("chain", step("s0"), *(step(f"s{n}", f"s{n - 1}") for n in range(1, 6))), 6),
        Kind(flow("diamond", *diamond, on_complete="note"), 6),
        Kind(
            flow(
                "wide",
                step("list", makes=[50, 300]),
                a_map("each", "list"),
                step("sum", "each"),
            ),
            6,
        ),
        # The operator sets the limit, changes it, and takes it away at the end.
        Kind(
            flow(
                "limited",
                step("list", makes=[5, 40], limit="chaos"),
                a_map(
                    "each", "list", limit={"name": "chaos", "key": "$.item % 3"}, trouble="raises"
                ),
                step("sum", "each"),
            ),
            4,
        ),
        Kind(
            flow(
                "twice",
                a_map("first", command="acount"),
                a_map("second", "first"),
                a_map("third", "second", queue=QUEUES[1]),
                step("sum", "third", "first"),
            ),
            4,
            widest=60,
        ),
        Kind(
            flow(
                "chunks",
                step("list", makes=[0, 200]),
                a_map("first", "list", chunk_size=7, trouble="raises"),
                a_map("second", "first", chunk_size=30, command="effect", queue=QUEUES[1]),
                a_map("third", "second"),
                step("sum", "second", "third"),
            ),
            4,
        ),
        Kind(
            flow(
                "empty",
                step("none", makes=[0, 0]),
                a_map("first", "none"),
                a_map("second", "first"),
                step("end", "second"),
                on_complete="note",
            ),
            3,
        ),
        Kind(
            flow(
                "flaky",
                step("list", makes=[5, 20], trouble="raises"),
                a_map("each", "list", trouble="raises"),
                step("sum", "each", command="acount", trouble="raises"),
            ),
            6,
        ),
        Kind(
            flow("slow", step("late", trouble="sleeps", timeout=1), step("end", "late")),
            2,
        ),
        Kind(
            flow("curious", step("list", makes=[0, 9]), a_map("each", "list", command="ask")),
            3,
        ),
        Kind(
            flow(
                "paid",
                step("list", makes=[1, 40], command="effect"),
                a_map("each", "list", command="effect", trouble="raises"),
                a_map("again", "each", command="aeffect"),
                step("sum", "again", command="effect"),
                on_complete="note",
            ),
            5,
        ),
        Kind(
            flow(
                "doomed",
                step("list", makes=[3, 9]),
                a_map("each", "list", trouble="dies"),
                step("beside", command="effect"),
                on_failure="note",
            ),
            3,
            ends=frozenset({"failed"}),
        ),
        Kind(
            flow(
                "violent",
                step("number", trouble="raises"),
                a_map("each", "number"),
                on_failure="note",
            ),
            1,
            ends=frozenset({"failed"}),
        ),
        *_deciding(),
        # At most once: a task that is lost fails its run instead of running again.
        Kind(
            flow("once", step("list", makes=[20, 60]), a_map("each", "list", command="log"))
            | {"max_lost": 1, "max_attempts": 1},
            4,
            ends=frozenset({"completed", "failed"}),
            is_steered=False,
        ),
    ]


def _deciding() -> list[Kind]:
    """Workflows that branch, and go on without what fails, however the rest breaks."""

    def flow(slug: str, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
        return PATIENT | {"slug": slug, "steps": list(steps)} | more

    goes_on = {"on_error": "continue"}
    return [
        Kind(
            flow(
                "branches",
                step("n"),
                step("even", "n", **{"if": "$.n % 2 == 0"}),
                step("odd", "n", **{"if": "!($.n % 2 == 0)"}, trouble="raises"),
                a_map("evens", "list_evens", queue=QUEUES[1]),
                step("list_evens", "even", makes=[0, 20]),
                step("join", "evens", "odd", join="any"),
                step("behind", "list_evens"),
                step("end", "join", after=["behind"], command="effect"),
                on_complete="note",
            ),
            6,
        ),
        Kind(
            flow(
                "partial",
                step("list", makes=[0, 40], trouble="raises"),
                a_map("each", "list", tolerate="40%", trouble="some die", **goes_on),
                step("lost", "each", join="none", **{"if": '$status.each == "failed"'}),
                step("first", "each", **{"if": "$.each[0] != null"}, fallback=7),
                a_map("chunks", "list", chunk_size=3, tolerate=2, trouble="some die", fallback=[1]),
                a_map("again", "chunks"),
                step("sum", "first", "again", "each", join="any", command="acount"),
                on_complete="note",
            ),
            6,
        ),
        Kind(
            flow(
                "mends",
                step("n", command="effect"),
                step("dies", "n", trouble="dies", **goes_on),
                step("thanks", "dies"),
                step("sorry", "dies", join="none"),
                step("cleans", "n", after=["dies"], command="effect"),
                step("guesses", "n", trouble="dies", fallback=[1, None, "x"]),
                a_map("each", "guesses", command="effect"),
            ),
            4,
        ),
        # What waits, and is answered by somebody, who says it again where he does not hear.
        Kind(
            flow(
                PATIENT_FLOW,
                step("n", command="effect"),
                waiting("nap", type="sleep", seconds=0.3, after=["n"]),
                waiting("asked", "n", type="wait", signal="answer", after=["nap"]),
                waiting("at_once", type="wait", signals=["answer"]),
                step("end", "asked", command="effect", trouble="raises"),
                run_timeout=86400,
            ),
            6,
        ),
        # A condition that fails its run, at the gate.
        Kind(
            flow(
                "picky",
                step("n"),
                step("even", "n", otherwise="fail", **{"if": "$.n % 2 == 0"}),
                step("beside", "n"),
                on_failure="note",
            ),
            2,
            ends=frozenset({"completed", "failed"}),
        ),
    ]


def misbehaving() -> list[Kind]:
    """Workflows whose handlers are bad neighbours, and the neighbours who must not suffer."""

    def flow(slug: str, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"slug": slug, "steps": list(steps)} | more

    fails = frozenset({"failed"})
    kinds = [
        # The neighbours: with the limits of everybody, and nothing that goes wrong by itself.
        Kind(
            flow("plain", step("list", makes=[5, 25]), a_map("each", "list"), step("sum", "each")),
            8,
        ),
        Kind(flow("plain_async", step("only", command="acount")), 8),
        # A process that dies takes along only what it had, and not for good.
        Kind(
            flow(
                "lethal",
                step("list", makes=[1, 6]),
                a_map("each", "list", trouble="kills"),
                **PATIENT,
            ),
            1,
        ),
        Kind(
            flow(
                "deadly",
                step("only", trouble="always kills", max_attempts=3, max_lost=3),
                on_failure="note",
                **PATIENT,
            ),
            1,
            ends=fails,
        ),
        # A handler that never returns, and one that blocks all others of its process.
        Kind(
            flow(
                "hanging", step("only", trouble="hangs", timeout=2), step("end", "only"), **PATIENT
            ),
            1,
        ),
        Kind(
            flow(
                "stuck",
                # Its callback has as many attempts as it takes.
                step("only", trouble="always hangs", timeout=1, max_attempts=2),
                on_failure="note",
                **PATIENT,
            ),
            1,
            ends=fails,
        ),
        Kind(
            flow(
                "blocking",
                step("list", makes=[6, 6]),
                a_map("only", "list", command="acount", trouble="blocks", timeout=2),
                **PATIENT,
            ),
            1,
        ),
        # The queue of the second step is not always there.
        Kind(
            flow(
                "dropped",
                step("list", makes=[1, 40]),
                a_map("each", "list", queue=DROPPED_QUEUE, command="effect"),
                step("sum", "each"),
                **PATIENT,
            ),
            3,
            ends=frozenset({"completed", "failed"}),
        ),
        # What a short statement_timeout does not leave time for.
        Kind(flow("broad", step("list", makes=[600, 900]), a_map("each", "list"), **PATIENT), 1),
    ]
    return [replace(kind, is_steered=False) for kind in kinds]


def _random(chance: random.Random, number: int) -> Kind:
    """A graph of up to eight steps, each on some of those before it."""
    steps: list[dict[str, Any]] = []
    arrays: set[str] = set()
    maps_input = chance.random() < 0.3
    for n in range(chance.randint(3, 8)):
        name = f"s{n}"
        before = [s["name"] for s in steps]
        dependencies = chance.sample(before, chance.randint(0, min(3, len(before))))
        more: dict[str, Any] = {
            "command": chance.choice(["count", "count", "acount", "effect", "ask"]),
            "queue": chance.choice(QUEUES),
        }
        if chance.random() < 0.3:
            more["trouble"] = "raises"
        over = [d for d in dependencies if d in arrays]
        chunks = {"chunk_size": chance.randint(1, 5)} if chance.random() < 0.5 else {}
        if over and chance.random() < 0.7:
            mapped = chance.choice(over)
            steps.append(a_map(name, *dependencies, map_over=mapped, **more, **chunks))
            arrays.add(name)
        elif maps_input and not dependencies:
            steps.append(a_map(name, **more, **chunks))
            arrays.add(name)
        elif chance.random() < 0.5:
            steps.append(step(name, *dependencies, makes=[0, chance.randint(0, 30)], **more))
            arrays.add(name)
        else:
            steps.append(step(name, *dependencies, **more))
    callback = {"on_complete": "note"} if chance.random() < 0.5 else {}
    definition = PATIENT | {"slug": f"random_{number}", "steps": steps} | callback
    return Kind(definition, 3, widest=20 if maps_input else None)


# What a handler returns


def digest(value: Json) -> int:
    """A number that any change of a JSON value changes."""
    return zlib.crc32(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def compute(args: Mapping[str, Any], task_input: Json) -> Json:
    """What a task returns; for a chunk of items, what a task for each of them would."""
    if "items" in task_input:
        items = enumerate(task_input["items"], task_input["index"])
        return [compute(args, {"index": n, "item": item}) for n, item in items]
    number = digest([args["name"], task_input])
    if "makes" not in args:
        return number
    least, most = args["makes"]
    return [digest([number, n]) for n in range(least + number % (most - least + 1))]


def note(callback_input: Mapping[str, Json]) -> Json:
    """What a callback returns; an error's text may name any of several tasks."""
    return digest([callback_input["run"], callback_input.get("output")])


class MisbehaviourError(Exception):
    """A handler fails, as it is meant to."""


def dies(args: Mapping[str, Any], task_input: Json) -> bool:
    """Whether a task with this input fails for good, whatever attempt it is."""
    trouble = args.get("trouble")
    return trouble == "dies" or (
        trouble == "some die" and digest([args["name"], task_input, "dies"]) % 3 == 0
    )


def troubles(args: Mapping[str, Any], run_id: UUID, index: int) -> int:
    """How many of a task's attempts go wrong; most tasks have none that do."""
    return max(0, digest([args["name"], str(run_id), index]) % 6 - 3)


# The same without an engine


GONE = object()
"""What a task returns that fails for good."""


@dataclass(slots=True)
class Expected:
    """What a run's tasks return, by step, and what the run does if it completes.

    ends has what each step ends as, and why it is skipped; outputs those of the completed ones.
    """

    tasks: dict[str, list[Json]] = field(default_factory=dict)
    ends: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    outputs: dict[str, Json] = field(default_factory=dict)
    output: dict[str, Json] = field(default_factory=dict)
    gave_up: int = 0


def expect(kind: Kind, run_input: Json) -> Expected:
    """Compute a run in one loop; steps that nothing can complete are left out."""
    found = Expected()
    for name in _in_order(kind.steps):
        this = kind.steps[name]
        if not all(
            other in found.ends for other in [*this["dependencies"], *this.get("after", [])]
        ):
            continue
        verdict = _pass_gate(this, run_input, found)
        if verdict in ("dependency", "condition"):
            found.ends[name] = ("skipped", verdict)
        elif verdict == "fails":
            _go_on_without(this, found)
        elif this.get("type") == "sleep":
            found.ends[name] = ("completed", None)  # its output is a moment
        elif this.get("type") == "wait":
            sent = answer(run_input)
            found.outputs[name] = (
                {"signal": "answer", "payload": sent} if "signals" in this else sent
            )
            found.tasks[name] = [found.outputs[name]]
            found.ends[name] = ("completed", None)
        elif this.get("type") == "map":
            _run_map(this, run_input, found)
        else:
            given = _given(this, run_input, found)
            if dies(this["args"], given):
                found.tasks[name] = [GONE]
                _go_on_without(this, found)
            else:
                found.outputs[name] = compute(this["args"], given)
                found.tasks[name] = [found.outputs[name]]
                found.ends[name] = ("completed", None)
    needed = {d for this in kind.steps.values() for d in this["dependencies"]}
    found.output = {name: value for name, value in found.outputs.items() if name not in needed}
    return found


def _in_order(steps: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Their names, each after those that it waits for."""
    order: list[str] = []
    while len(order) < len(steps):
        order += [
            name
            for name, this in steps.items()
            if name not in order and {*this["dependencies"], *this.get("after", [])} <= {*order}
        ]
    return order


def _given(this: Mapping[str, Any], run_input: Json, found: Expected) -> dict[str, Json]:
    outputs = {d: found.outputs[d] for d in this["dependencies"] if d in found.outputs}
    return {"run": run_input} | outputs


def _pass_gate(this: Mapping[str, Any], run_input: Json, found: Expected) -> str:
    """starts, fails, or why the step is skipped."""
    done = [d in found.outputs for d in this["dependencies"]]
    enough = {"all": all(done), "any": any(done) or not done, "none": True}
    if not enough[this.get("join", "all")]:
        return "dependency"
    if "if" not in this:
        return "starts"
    status = {name: end for name, (end, _) in found.ends.items()}
    holds = CONDITIONS[this["if"]](_given(this, run_input, found) | {"$status": status})
    if holds is False and this.get("otherwise") != "fail":
        return "condition"
    return "starts" if holds else "fails"


def _go_on_without(this: Mapping[str, Any], found: Expected) -> None:
    """End a step that has failed; one without which its run does not go on is left out."""
    if "fallback" in this:
        found.outputs[this["name"]] = this["fallback"]
        found.ends[this["name"]] = ("completed", None)
        found.gave_up += 1
    elif this.get("on_error") == "continue":
        found.ends[this["name"]] = ("failed", None)
        found.gave_up += 1


def _run_map(this: Mapping[str, Any], run_input: Json, found: Expected) -> None:
    over = this.get("map_over") or next(iter(this["dependencies"]), None)
    items = run_input if over is None else found.outputs.get(over, [])
    if not isinstance(items, Sequence):
        return
    size = this.get("chunk_size")
    if size is None:
        inputs: list[Json] = [{"index": n, "item": item} for n, item in enumerate(items)]
    else:
        inputs = [{"index": n, "items": items[n : n + size]} for n in range(0, len(items), size)]
    outputs = [
        GONE if dies(this["args"], given) else compute(this["args"], given) for given in inputs
    ]
    found.tasks[this["name"]] = outputs
    gone = outputs.count(GONE)
    tolerated = this.get("tolerate", 0)
    if isinstance(tolerated, str):
        tolerated = len(outputs) * int(tolerated.rstrip("%")) // 100
    if gone > tolerated:
        _go_on_without(this, found)
        return
    found.outputs[this["name"]] = [
        place
        for given, output in zip(inputs, outputs, strict=True)
        for place in _places(given, output)
    ]
    found.ends[this["name"]] = ("completed", None)
    found.gave_up += gone


def _places(given: Json, output: Json) -> list[Json]:
    """What of a map's output is a task's; null for each item of one that fails."""
    if output is GONE:
        return [None] * len(given.get("items", [None]))
    return list(output) if "items" in given else [output]
