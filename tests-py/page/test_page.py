"""A run's page: what it shows, that it needs nothing else, and that nothing of a run is HTML."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timezone
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from page.facts_of_runs import census, facts, failed, step
from quantumflow_client.page.facts import read
from quantumflow_client.page.render import page
from quantumflow_client.page.words import Clock
from support.command import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import psycopg

UTC = Clock(timezone.utc)
EVIL = "<script>alert(1)</script>\u202egnp.\x1b[31m</pre>&amp;"


class Elements(HTMLParser):
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


def test_it_needs_nothing_else() -> None:
    text = page(census(), clock=UTC)
    elements = Elements(text)
    assert not {"script", "link", "img", "iframe", "form"} & set(elements.names)
    assert not {"src", "href", "style"} & {name for name, _ in elements.attributes}
    assert not re.search(r"url\((?!#)|@import|https?:", text)


def test_nothing_of_a_run_is_html() -> None:
    found = replace(
        census(),
        items={"parse": [EVIL] * 3},
        failures=[failed(EVIL, {"traceback": EVIL}), failed(EVIL, [EVIL], attempt=2)],
        outputs={"rank": [(0, json.dumps(EVIL))]},
    )
    hidden = {"workflow_slug": EVIL, "error_message": EVIL, "input": EVIL, "headers": {EVIL: EVIL}}
    text = page(replace(found, run={**found.run, **hidden}), clock=UTC)
    assert "script" not in Elements(text).names
    assert text.count("&lt;script&gt;") >= 8
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\u202e" in text


def test_the_parts_that_refer_to_each_other_are_there() -> None:
    elements = Elements(page(replace(census(), failures=[failed("x", None)]), clock=UTC))
    ids = [value for name, value in elements.attributes if name == "id"]
    told = [v for n, v in elements.attributes if n in ("aria-labelledby", "aria-describedby")]
    assert len(ids) == len(set(ids))
    assert set(told) <= set(ids)


def test_moments_have_their_zone_and_every_bar_a_title() -> None:
    text = page(census(), clock=UTC)
    assert "2030-01-01 12:00:00 UTC" in text
    assert text.count('class="bar ') - text.count('<rect class="bar lost" width') >= 7
    for bar in re.findall(r'<rect class="bar \w+" x=[^>]*>(.{7})', text):
        assert bar == "<title>"


def test_five_megabytes_are_shown_in_part() -> None:
    large = replace(census(), outputs={"rank": [(0, json.dumps("x" * 5_000_000))]})
    text = page(large, clock=UTC)
    assert len(text) < 200_000
    assert "... of 5,000,002 characters" in text


def test_a_run_that_has_not_begun_has_a_page() -> None:
    text = page(facts([step(1, "a", None, None, tasks={})], [], None), clock=UTC)
    assert "Nothing of it was due yet." in text
    Elements(text)


FLOW = {
    "slug": "page",
    "max_attempts": 2,
    "steps": [
        {"name": "list"},
        {"name": "each", "type": "map", "dependencies": ["list"]},
        {"name": "last", "dependencies": ["each"]},
    ],
}


@pytest.fixture
def run_id(connection: psycopg.Connection[Any]) -> Any:
    """A run of three items, of which the second has failed once."""

    def one(statement: str, *values: object) -> Any:
        row = connection.execute(statement.encode(), values).fetchone()
        return None if row is None else row[0]

    one("select quantumflow.define_flow(%s)", json.dumps(FLOW))
    run_id = one("select quantumflow.start_flow('page', '{\"key\": \"<b>\"}')")
    done = """
        select quantumflow.complete_task(
          t.run_id, t.step_slug, t.task_index, %s, t.lease_token)
        from quantumflow.claim_tasks(gen_random_uuid()) t
        """
    one(done, '["ann", "<i>bob", "eve"]')
    connection.execute(
        """
        select quantumflow.fail_task(
          t.run_id, t.step_slug, t.task_index, 'no such <person>', t.lease_token,
          retry_after => '0 s', error_details => '{"traceback": "Traceback <most>"}')
        from quantumflow.claim_tasks(gen_random_uuid(), 2) t
        where t.task_index = 1
        """
    )
    return run_id


def test_the_command_writes_what_the_database_knows(
    run_id: Any, connection: psycopg.Connection[Any], dsn: str
) -> None:
    quantumflow = Command(dsn)
    text = quantumflow("page", run_id).stdout
    Elements(text)
    for said in (
        "no such &lt;person&gt;",
        "Traceback &lt;most&gt;",
        "each 1, &lt;i&gt;bob",
        "&#34;key&#34;",
    ):
        assert said in text, said
    hidden = quantumflow("page", run_id, "--no-values").stdout
    assert "&lt;i&gt;bob" not in hidden
    assert "&lt;b&gt;" not in hidden
    quantumflow("page", "00000000-0000-0000-0000-000000000001", expect=3)


def test_it_asks_public_functions_alone(run_id: Any, connection: psycopg.Connection[Any]) -> None:
    asked = []

    def ask(call: Any) -> Any:
        asked.append(call.statement)
        return call.on(connection)

    found = read(ask, run_id)
    assert found.items["each"] == ["ann", "<i>bob", "eve"]
    assert [(a.task_index, a.outcome) for a in found.attempts if a.step_slug == "each"].count(
        (1, "failed")
    ) == 1
    assert all("quantumflow." in statement for statement in asked)


def test_without_jinja2_it_says_what_to_install(dsn: str, monkeypatch: Any) -> None:
    import importlib.util

    find: Callable[..., Any] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "jinja2" else find(n, *a)
    )
    result = Command(dsn)("page", "00000000-0000-0000-0000-000000000001", expect=2)
    assert "[web]" in result.stderr
