"""Where things go on a run's page, and that what is drawn is what was."""

from __future__ import annotations

import uuid
from dataclasses import fields
from datetime import timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest

from page.facts_of_runs import START, at, attempt, census, facts, step
from quantumflow_client._sql.runs import RunSummary
from quantumflow_client.page import graph
from quantumflow_client.page.render import page
from quantumflow_client.page.scale import Scale
from quantumflow_client.page.timeline import Bar, Mark, Row, lay_out
from quantumflow_client.page.words import Clock, brief, length, size, visible

UTC = Clock(timezone.utc)


def bars(row: Row, kind: str) -> list[tuple[float, float]]:
    return [(bar.x, bar.width) for bar in row.bars if bar.kind == kind]


def named(rows: object, name: str) -> Row:
    assert isinstance(rows, list)
    (row,) = [row for row in rows if row.name == name]
    assert isinstance(row, Row)
    return row


def test_waiting_and_working_are_told_apart() -> None:
    steps = lay_out(census(), UTC).steps
    assert bars(named(steps, "discover"), "waits") == [(0, 5)]
    assert bars(named(steps, "discover"), "completed") == [(5, 5)]


def test_what_was_lost_is_followed_by_silence_waiting_and_doing_it_again() -> None:
    parse = named(lay_out(census(), UTC).steps, "parse")
    of_one = [bar for bar in parse.bars if bar.y == 12]
    assert [bar.kind for bar in of_one] == ["waits", "lost", "silent", "waits", "again"]
    assert [of_one[n].x for n in (0, 1, 3, 4)] == [10, 15, 70, 75]


def test_a_lost_worker_is_silent_from_its_last_sign_on() -> None:
    """It had claimed and reported until second 2, and its lease was over at second 7."""
    found = census()
    gone = [a for a in found.attempts if a.step_slug in ("discover", "parse")]
    (row,) = [r for r in lay_out(facts(list(found.steps), gone, 10), UTC).workers if r.number == 1]
    assert bars(row, "lost") == [(15, 5)]
    assert bars(row, "silent") == [(20, 50)]


def test_a_bar_says_what_it_is_with_its_item_and_times_of_day() -> None:
    parse = named(lay_out(census(), UTC).steps, "parse")
    (title,) = [b.title for b in parse.bars if b.kind == "completed" and b.x == 10]
    assert title == "parse 0, <b>a.py: completed on worker 1, 1.0 s, 12:00:01.000 to 12:00:02.000"


def test_workers_have_lanes_without_overlaps() -> None:
    for row in lay_out(census(), UTC).workers:
        in_order = sorted((bar.y, bar.x, bar.x + bar.width) for bar in row.bars)
        for (y1, _, end), (y2, begin, _) in pairwise(in_order):
            assert y1 != y2 or end <= begin + 0.3


def test_a_large_map_is_how_many_at_a_time() -> None:
    attempts = [attempt("m", n, 0, n // 10, n // 10 + 1) for n in range(3000)]
    found = facts([step(1, "m", 0, 301, type="map", tasks={"total": 3000})], attempts, 301)
    drawn = lay_out(found, UTC)
    (row,) = drawn.steps
    assert [bar.kind for bar in row.bars] == ["waits"]
    assert row.top == 10
    assert len(row.columns) <= 120
    assert all(90 <= column.height <= 100 for column in row.columns[1:-2])
    assert len(drawn.workers[0].columns) <= 120


def test_a_long_sleep_leaves_the_work_to_be_seen() -> None:
    found = facts(
        [
            step(1, "a", 0, 2),
            step(2, "sleeps", 2, 86402, type="sleep"),
            step(3, "b", 86402, 86404),
        ],
        [attempt("a", 0, 0, 0, 2), attempt("b", 0, 86402, 86402, 86404)],
        86404,
    )
    drawn = lay_out(found, UTC)
    (gap,) = drawn.breaks
    assert gap.label == "24.0 h"
    ((a, wide),) = bars(named(drawn.steps, "a"), "completed")
    assert a == 0
    assert wide == pytest.approx(46.5)
    ((b, wide),) = bars(named(drawn.steps, "b"), "completed")
    assert b == pytest.approx(53.5)
    assert wide == pytest.approx(46.5)
    assert len(drawn.ticks) <= 10
    assert not any(gap.x < tick.x < gap.x + gap.width for tick in drawn.ticks)


def test_the_runs_that_a_step_has_started_are_folded_in() -> None:
    def child(n: int, begin: float, end: float | None, status: str) -> RunSummary:
        values: dict[str, Any] = dict.fromkeys(field.name for field in fields(RunSummary))
        values |= {"run_id": uuid.UUID(int=n), "workflow_slug": "payment", "status": status}
        values |= {"created_at": at(begin), "started_at": at(begin)}
        return RunSummary(**values | {"ended_at": None if end is None else at(end)})

    children = [child(3, 6, None, "started"), child(2, 2, 5, "failed"), child(1, 1, 4, "completed")]
    steps = [
        step(
            1,
            "pay",
            1,
            None,
            type="map",
            flow="payment",
            child=str(uuid.UUID(int=1)),
            tasks={"total": 3},
        )
    ]
    found = facts(steps, [], 10, children=children)
    (row,) = lay_out(found, UTC).steps
    assert [(b.kind, b.x, b.y) for b in row.bars] == [
        ("completed", 10, 0), ("failed", 20, 12), ("works", 60, 0),
    ]  # fmt: skip
    assert row.notes[0] == "3 runs of payment"
    assert str(uuid.UUID(int=2)) in page(found, clock=UTC)


@pytest.mark.parametrize("seconds", [0.004, 0.7, 9, 59, 300, 3600, 90000, 86400 * 40])
def test_ticks_are_few_round_and_in_the_zone(seconds: float) -> None:
    ticks = Scale(at(0.2), at(0.2 + seconds)).ticks(Clock(timezone(timedelta(hours=5, minutes=30))))
    assert 1 <= len(ticks) <= 10
    assert [t.x for t in ticks] == sorted({t.x for t in ticks})
    if seconds == 9:
        assert ticks[0].label == "17:30:02"


def test_marks_are_where_they_happened() -> None:
    (mark,) = lay_out(census(), UTC, [Mark(at(4), "killed", "lost")]).marks
    assert mark.x == 40


def test_nothing_at_all_can_be_drawn() -> None:
    drawn = lay_out(facts([], [], 0), UTC)
    assert (drawn.steps, drawn.workers) == ([], [])
    assert graph.draw([], upright=True).nodes == []


@pytest.mark.parametrize("upright", [True, False])
def test_a_graph_leads_from_each_step_to_those_that_wait_for_it(upright: bool) -> None:
    drawn = graph.draw(census().steps, upright=upright)
    along = [(node.y if upright else node.x) for node in drawn.nodes]
    assert along == sorted(set(along))
    assert len(drawn.edges) == 4
    assert all(node.x + drawn.node_width <= drawn.width for node in drawn.nodes)
    assert all(node.y + drawn.node_height <= drawn.height for node in drawn.nodes)


@pytest.mark.parametrize("upright", [True, False])
def test_no_boxes_overlap_and_no_line_that_passes_a_layer_crosses_a_box(upright: bool) -> None:
    drawn = graph.draw(census().steps, upright=upright)
    (far,) = [e.path for e in drawn.edges if "L" in e.path]
    across = float(far.partition("L")[2].split("C")[0].split()[0 if upright else 1])
    for node in drawn.nodes[1:3]:
        low = node.x if upright else node.y
        high = low + (drawn.node_width if upright else drawn.node_height)
        assert not low <= across <= high


def test_what_is_in_a_box_fits_into_it() -> None:
    long = "a_step_whose_name_is_longer_than_any_box_that_anybody_would_draw_for_it"
    drawn = graph.draw(
        [step(1, long, 0, 20, type="map", tasks={"total": 1_234_567_890})], upright=False
    )
    (node,) = drawn.nodes
    assert len(node.name) * 10 <= drawn.node_width
    assert all(len(line) * 7.5 <= drawn.node_width for line in node.lines)
    assert node.name.endswith("…")


def test_a_graph_of_300_steps_is_drawn() -> None:
    steps = [
        step(n, f"s{n}", None, None, depends_on=[f"s{m}" for m in range(max(n - 9, 0), n)])
        for n in range(300)
    ]
    drawn = graph.draw(steps, upright=True)
    places = [(node.x, node.y) for node in drawn.nodes]
    assert len(set(places)) == 300
    assert len(drawn.edges) == sum(min(n, 9) for n in range(300))


def test_words() -> None:
    assert [length(s) for s in (0, 0.0001, 0.5, 9.94, 99.97, 119, 121, 86400 * 3)] == [
        "0 ms", "< 1 ms", "500 ms", "9.9 s", "100 s", "119 s", "2.0 min", "3.0 d",
    ]  # fmt: skip
    assert length(timedelta(seconds=-1)) == "-1.0 s"
    assert (size(999), size(1500), size(123_456_789)) == ("999 B", "1.5 kB", "123 MB")
    assert brief({"a": "x" * 100}, 20) == '{"a": "xxxxxxxxxxxx…'
    assert visible("a\x00b\x1b[31m\u202ec\td\n") == "a␀b␛[31m\\u202ec\td\n"
    assert UTC.moment(START) == "2030-01-01 12:00:00 UTC"
    assert isinstance(Bar(0, 1, 0, "works", ""), Bar)
