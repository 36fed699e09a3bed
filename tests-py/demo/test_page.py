"""The page of the demo: what it shows, and that it needs nothing else."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from quantumflow_client.demo import page
from quantumflow_client.demo.queries import Attempt, Step, Story, Worker
from quantumflow_client.demo.timeline import draw_graph, lay_out

_START = datetime(2030, 1, 1, tzinfo=timezone.utc)
_WORKERS = [Worker(uuid.UUID(int=n), f"worker {n} (pid {n})", _START) for n in (1, 2)]

TOTALS = {
    "files": 3,
    "parsed": 2,
    "lines": 1234,
    "functions": 3,
    "classes": 1,
    "modules": 2,
    "imports": [["<sys>", 2], ["os", 1]],
    "errors": [{"path": "<i>.py", "error": "SyntaxError: <script>alert(1)</script>"}],
}


def at(seconds: float) -> datetime:
    return _START + timedelta(seconds=seconds)


def attempt(
    index: int, worker: int, start: float, end: float | None, *, lost: bool = False
) -> Attempt:
    again = worker == 2 and index == 1
    return Attempt(
        "parse",
        index,
        f"<b>{index}.py",
        _WORKERS[worker - 1].worker_id,
        at(start),
        None if end is None else at(end),
        lost,
        again,
    )


@pytest.fixture
def story() -> Story:
    return Story(
        run_id=uuid.UUID(int=7),
        server="PostgreSQL 18",
        started_at=_START,
        ended_at=at(10),
        steps=[
            Step("discover", False, [], 1, at(0), at(1)),
            Step("parse", True, ["discover"], 3, at(1), at(9)),
            Step("rank", False, ["parse"], 1, at(9), at(9.5)),
            Step("report", False, ["rank", "discover"], 1, at(9.5), None),
        ],
        workers=_WORKERS,
        attempts=[
            attempt(0, 1, 1, 2),
            attempt(1, 1, 1.5, 7, lost=True),
            attempt(2, 2, 2, 3),
            attempt(1, 2, 7.5, 8),
        ],
    )


class _Elements(HTMLParser):
    """Collects a page's elements, and checks that they are closed in order."""

    _VOID = ("meta", "link", "img", "br", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes.extend(attrs)
        if tag not in self._VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes.extend(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def test_whatever_comes_from_files_is_escaped(story: Story) -> None:
    text = page.render(story, TOTALS, verdict=page.Verdict([("a <u> b", "<s>x</s>")], 1.0))

    elements = _Elements(text)
    assert not {"script", "sys", "u", "s"} & set(elements.names)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;sys&gt;" in text
    assert "&lt;b&gt;1.py" in text
    assert "a &lt;u&gt; b" in text


def test_it_needs_nothing_else(story: Story) -> None:
    text = page.render(story, TOTALS)

    elements = _Elements(text)
    assert not {"script", "link", "img", "iframe"} & set(elements.names)
    assert not {"src", "href"} & {name for name, _ in elements.attributes}
    assert not re.search(r"url\((?!#)|@import|https?:", text)


def test_the_parts_that_refer_to_each_other_are_there(story: Story) -> None:
    elements = _Elements(page.render(story, TOTALS))

    ids = [value for name, value in elements.attributes if name == "id"]
    named = [v for n, v in elements.attributes if n in ("aria-labelledby", "aria-describedby")]
    assert len(ids) == len(set(ids))
    assert set(named) <= set(ids)


def test_a_check_that_failed_is_told(story: Story) -> None:
    good = page.render(story, TOTALS, verdict=page.Verdict([("all", None)], 1.0))
    bad = page.render(story, TOTALS, verdict=page.Verdict([("all", "one is missing")], 1.0))

    assert "counted exactly once" in good
    assert "counted exactly once" not in bad
    assert "one is missing" in bad


def test_a_run_without_a_kill_has_no_marks_of_one(story: Story) -> None:
    calm = Story(
        story.run_id,
        story.server,
        story.started_at,
        story.ended_at,
        story.steps,
        story.workers,
        [a for a in story.attempts if a.task_index != 1],
    )

    text = page.render(calm, TOTALS)

    assert 'class="at killed"' not in text
    assert "killed" not in text.partition("<main>")[2]


def test_nothing_at_all_can_be_drawn() -> None:
    empty = Story(uuid.uuid4(), "", _START, _START, [], [], [])
    nothing: dict[str, Any] = {**TOTALS, "imports": [], "errors": [], "files": 0}

    _Elements(page.render(empty, nothing))


def test_bars_are_where_the_tasks_ran(story: Story) -> None:
    first, second = lay_out(story, killed_at=at(4)).lanes

    assert [(bar.x, bar.width, bar.row) for bar in first.done] == [(100, 100, 0)]
    assert [(bar.x, bar.width, bar.row) for bar in first.lost] == [(150, 250, 1)]
    assert [(bar.x, bar.width) for bar in first.waiting] == [(400, 350)]
    assert [(bar.x, bar.width, bar.row) for bar in second.again] == [(750, 50, 0)]
    assert (first.tasks, second.tasks) == (1, 2)


def test_without_the_time_of_the_kill_it_is_the_last_that_was_heard_of_the_worker(
    story: Story,
) -> None:
    timeline = lay_out(story)

    assert timeline.killed == 200
    assert timeline.again == 750


def test_the_tasks_completed_add_up(story: Story) -> None:
    density = lay_out(story).density

    seconds_per_bar = story.seconds / 90
    done = sum(bar[3] / 100 * density.top * seconds_per_bar for bar in density.bars)
    assert done == pytest.approx(3, rel=0.01)
    assert all(0 <= bar[2] <= 100 for bar in density.bars)


def test_a_graph_leads_from_each_step_to_those_that_wait_for_it(story: Story) -> None:
    for upright in (False, True):
        graph = draw_graph(story, upright=upright)
        along = [(node.y if upright else node.x) for node in graph.nodes]

        assert along == sorted(set(along))
        assert len(graph.edges) == 4
        assert all(node.x + graph.node_width <= graph.width for node in graph.nodes)
        assert all(node.y + graph.node_height <= graph.height for node in graph.nodes)


def test_the_page_replaces_the_one_before(story: Story, tmp_path: Path) -> None:
    file = tmp_path / "new" / "page.html"

    page.write(file, story, TOTALS)
    page.write(file, story, TOTALS)

    assert file.read_text("utf-8").startswith("<!doctype html>")
    assert list(file.parent.iterdir()) == [file]
