"""Random workflows, made by hypothesis so that a failing one gets smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from model.rules import DIE, FAIL, FATAL, HANG, RELEASE, VIOLATE, Flow, Step

if TYPE_CHECKING:
    from model.deciding import Condition

_MISHAPS = st.sampled_from([FAIL, FAIL, DIE, DIE, HANG, HANG, RELEASE, FATAL])
_SCRIPTS = st.one_of(
    st.just(()),
    st.just(()),
    st.sampled_from([(DIE, HANG), (HANG, DIE), (DIE, FAIL), (FAIL, DIE)]),
    st.lists(_MISHAPS, max_size=4).map(tuple),
)
_ITEMS: st.SearchStrategy[list[Any]] = st.lists(
    st.sampled_from([None, 0, 1, "x", [], {"a": None}]), max_size=5
)
_CHUNKS = st.sampled_from([None, None, 1, 2, 3])


@st.composite
def _decisions(
    draw: st.DrawFn,
    names: list[str],
    dependencies: tuple[str, ...],
    *,
    is_map: bool,
) -> dict[str, Any]:
    """When a step runs, and what its failure means; names: of the steps before it."""
    others = [name for name in names if name not in dependencies]
    after = tuple(draw(st.lists(st.sampled_from(others), max_size=1))) if others else ()
    joins = ["all", "all", "any", "any" if is_map else "none"] if dependencies else ["all"]
    conditions: list[Condition | None] = [None, None, ("first", "run", 0)]
    conditions += [("first", name, 0) for name in dependencies]
    conditions += [
        ("status", name, status)
        for name in dependencies + after
        for status in ("completed", "skipped", "failed")
    ]
    condition = draw(st.sampled_from(conditions))
    last_resort = draw(st.sampled_from(["fail", "goes_on", "goes_on", "fallback"]))
    return {
        "after": after,
        "joins": draw(st.sampled_from(joins)),
        "condition": condition,
        "otherwise": draw(st.sampled_from(["skip", "skip", "fail"])) if condition else "skip",
        "goes_on": last_resort == "goes_on",
        "fallback": draw(st.sampled_from([[], [1, None]])) if last_resort == "fallback" else None,
        "tolerate": draw(st.sampled_from([None, 1, 2, "50%", "100%"])) if is_map else None,
    }


@st.composite
def _settled(draw: st.DrawFn, before: list[Step]) -> dict[str, Any]:
    """What makes a step one that sleeps, or waits; of those that give up a flow has one."""
    kind = draw(st.sampled_from(["", "sleep", "wait", "wait"]))
    if not kind:
        return {}
    limits = {"max_attempts": 1, "max_lost": 1}
    if kind == "sleep":
        return limits | {"sleeps": draw(st.sampled_from([1, 600, 30000]))}
    can_give_up = all(step.gives_up_after is None for step in before)
    return limits | {
        "signals": draw(st.sampled_from([("go",), ("stop",), ("go", "stop")])),
        "gives_up_after": draw(st.sampled_from([None, 600, 30000])) if can_give_up else None,
    }


@st.composite
def _steps(
    draw: st.DrawFn,
    /,
    *,
    decides: bool = False,
    waits: bool = False,
    **more: st.SearchStrategy[Any],
) -> list[Step]:
    """One to seven steps, maps over anything that can be mapped over among them."""
    steps: list[Step] = []
    for n in range(draw(st.integers(1, 7))):
        names = [step.name for step in steps]
        dependencies = tuple(
            draw(st.lists(st.sampled_from(names), unique=True, max_size=3)) if names else ()
        )
        is_map = draw(st.booleans())
        mappable = [each for each in dependencies if not steps[names.index(each)].is_settled]
        is_map = is_map and bool(mappable or not dependencies)
        map_over = draw(st.sampled_from(mappable)) if is_map and dependencies else None
        settled = {} if is_map or not waits else draw(_settled(steps))
        steps.append(
            Step(
                name=f"s{n}",
                is_map=is_map,
                dependencies=dependencies,
                map_over=map_over,
                chunk_size=draw(_CHUNKS) if is_map else None,
                **{
                    "max_attempts": draw(st.integers(1, 4)),
                    "max_lost": draw(st.integers(1, 4)),
                    **{name: draw(values) for name, values in more.items()},
                    **(draw(_decisions(names, dependencies, is_map=is_map)) if decides else {}),
                    **settled,
                },
            )
        )
    return steps


def _run_inputs(steps: list[Step]) -> st.SearchStrategy[Any]:
    """An array where a step maps over it, else anything."""
    if any(step.is_map and step.map_over is None for step in steps):
        return _ITEMS
    return st.sampled_from([{}, None, 1, {"n": [1]}])


@st.composite
def bare_flows(draw: st.DrawFn) -> Flow:
    """A workflow with timeouts and delays of every length, and no scripts.

    Half of them have steps that decide, and go on without one another; half some that wait.
    """
    steps = draw(
        _steps(
            decides=draw(st.booleans()),
            waits=draw(st.booleans()),
            timeout=st.sampled_from([60, 3600, 18000]),
            retry_delay=st.sampled_from([0, 1, 60, 7200]),
        )
    )
    return Flow(tuple(steps), draw(_run_inputs(steps)), has_callbacks=draw(st.booleans()))


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    """A workflow whose tasks follow scripts."""
    steps = draw(_steps(scripts=st.lists(_SCRIPTS, min_size=1, max_size=3).map(tuple)))
    mapped = {step.map_over for step in steps}
    violates = draw(st.sampled_from([False] * 9 + [True]))
    steps = [
        Step(**{**vars(step), "scripts": ((VIOLATE,),)})
        if violates and step.name in mapped and not step.is_map
        else step
        for step in steps
    ]
    return Flow(
        steps=tuple(steps),
        run_input=draw(_run_inputs(steps)),
        has_callbacks=draw(st.booleans()),
        callback_script=draw(_SCRIPTS),
    )
