"""Who may come in, and whose forms are accepted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from quantumflow_client.cli import main
from quantumflow_client.cli.web import hosts_of
from web.sites import HOST, TOKEN, Visitor, key_of

Visit = Callable[..., Visitor]


@pytest.fixture
def visit(module_dsn: str) -> Iterator[Visit]:
    made: list[Visitor] = []

    def enter(**options: Any) -> Visitor:
        made.append(Visitor(module_dsn, **options))
        return made[-1]

    yield enter
    for visitor in made:
        visitor.close()


@pytest.fixture(scope="module")
def run_id(module_dsn: str) -> str:
    """A run that waits for a worker."""
    with psycopg.connect(module_dsn, autocommit=True) as connection:
        flow = {"slug": "gate", "steps": [{"name": "a"}]}
        connection.execute("select quantumflow.define_flow(%s)", [json.dumps(flow)])
        row = connection.execute("select quantumflow.start_flow('gate')").fetchone()
        assert row is not None
        return str(row[0])


def status(dsn: str, run_id: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(
            "select status from quantumflow.workflow_runs where id = %s", [run_id]
        ).fetchone()
        assert row is not None
        return str(row[0])


def test_without_the_token_nobody_comes_in(visit: Visit) -> None:
    stranger = visit(enter=False)
    for path in ("/", "/runs", "/?token=wrong", "/waits", "/nowhere", "/runs?token=" + TOKEN):
        assert "Not let in" in stranger.get(path, expect=401)
    stranger.browser.cookies[stranger.house.gate.cookie] = "9999999999.x.y"
    stranger.get("/", expect=401)
    stranger.post("/runs/1/cancel", None, expect=401)
    assert "--small" in stranger.get("/static/sheet.css")


def test_the_token_is_exchanged_for_a_cookie_that_no_script_reads(visit: Visit) -> None:
    visitor = visit(enter=False)
    answer = visitor.browser.get(f"/?token={TOKEN}")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert 'content="0;url=/"' in answer.text
    assert "Overview" in visitor.get("/")


def test_a_cookie_ends(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = visit()
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 13 * 3600)
    visitor.get("/", expect=401)


@pytest.mark.parametrize("host", ["evil.example.com", "evil.example.com:8420", "127.0.0.1", ""])
def test_another_host_is_refused(visit: Visit, host: str) -> None:
    visitor = visit()
    visitor.get("/", headers={"host": host}, expect=421)
    visitor.get("/static/sheet.css", headers={"host": host}, expect=421)


def test_every_answer_says_what_a_browser_may_do(visit: Visit) -> None:
    visitor = visit()
    for path in ("/", "/nowhere", "/static/live.js", "/runs/x"):
        headers = visitor.browser.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    text = visitor.get("/")
    assert "<style" not in text
    assert " style=" not in text
    assert " onclick=" not in text


def test_a_viewer_is_offered_no_act_and_refused_each(
    visit: Visit, run_id: str, module_dsn: str
) -> None:
    viewer = visit()
    assert "<form method" not in viewer.get(f"/runs/{run_id}").replace('method="get"', "")
    assert 'method="post"' not in viewer.get("/flows/gate")
    operator = visit(operator=True)
    key = key_of(operator.get(f"/runs/{run_id}"))
    text = viewer.post(f"/runs/{run_id}/cancel", None, expect=403, form_key=key)
    assert "read only" in text
    assert status(module_dsn, run_id) == "started"


def test_only_a_form_of_ones_own_is_accepted(visit: Visit, run_id: str, module_dsn: str) -> None:
    mine, other = visit(operator=True), visit(operator=True)
    path, page = f"/runs/{run_id}/pause", f"/runs/{run_id}"
    mine.post(path, None, expect=403)
    mine.post(path, None, expect=403, form_key="é")
    mine.post(path, None, expect=403, form_key=key_of(other.get(page)))
    for headers in (
        {"origin": "http://evil.example.com"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        mine.post(path, page, expect=403, headers=headers)
    assert status(module_dsn, run_id) == "started"
    mine.post(path, page, headers={"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"})
    assert status(module_dsn, run_id) == "paused"
    mine.post(f"/runs/{run_id}/resume", page)
    assert mine.browser.get(path).status_code == 405


def test_a_name_is_believed_from_the_proxy_alone(visit: Visit) -> None:
    proxy = {"header": "X-User", "network": "10.0.0.0/8", "enter": False}
    said: dict[str, Any] = {"headers": {"X-User": "ann"}}
    known = visit(**proxy, client=("10.1.2.3", 1))
    assert "ann" in known.get("/", **said)
    known.get("/", expect=401)
    visit(**proxy, client=("192.168.0.1", 1)).get("/", expect=401, **said)
    visit(enter=False, client=("10.1.2.3", 1)).get("/", expect=401, **said)


def test_the_audit_log_names_for_whom(visit: Visit, run_id: str, module_dsn: str) -> None:
    proxy = {"header": "X-User", "network": "10.0.0.0/8", "enter": False, "operator": True}
    ann = visit(**proxy, client=("10.1.2.3", 1))
    ann.browser.headers["X-User"] = "ann"
    bob_key = key_of(ann.get(f"/runs/{run_id}", headers={"X-User": "bob"}))
    ann.post(f"/runs/{run_id}/pause", None, expect=403, form_key=bob_key)
    ann.post(f"/runs/{run_id}/pause", f"/runs/{run_id}", reason="lunch")
    ann.post(f"/runs/{run_id}/resume", f"/runs/{run_id}")
    with psycopg.connect(module_dsn) as connection:
        found = connection.execute(
            "select what, on_behalf_of, reason from quantumflow.audit_log "
            "where on_behalf_of is not null order by entry_id"
        ).fetchall()
    assert found == [("pause_run", "ann", "lunch"), ("resume_run", "ann", None)]


def test_what_the_role_may_not_is_not_offered(visit: Visit, run_id: str, module_dsn: str) -> None:
    operator = visit(operator=True)
    assert f"/runs/{run_id}/cancel" in operator.get(f"/runs/{run_id}")
    with psycopg.connect(module_dsn, autocommit=True) as admin:
        admin.execute("create role web_viewer login")
        try:
            admin.execute("select quantumflow.grant_access('web_viewer', 'viewer')")
            dsn = psycopg.conninfo.make_conninfo(module_dsn, user="web_viewer")
            viewer = Visitor(dsn, operator=True)
            assert f"/runs/{run_id}/cancel" not in viewer.get(f"/runs/{run_id}")
            key = viewer.house.gate
            session = key.new_cookie()
            viewer.browser.cookies[key.cookie] = session
            form = key._signed("form", session.rpartition(".")[0])
            text = viewer.post(f"/runs/{run_id}/cancel", None, expect=403, form_key=form)
            assert "may not" in text
            viewer.close()
        finally:
            admin.execute("drop owned by web_viewer; drop role web_viewer")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--trust-header", "X-User"], "both or neither"),
        (["--from", "10.0.0.0/8"], "both or neither"),
        (["--from", "10.0.0.0/99", "--trust-header", "X"], "is no network"),
        (["--bind", "0.0.0.0"], "--host-name"),
    ],
)
def test_what_would_be_open_to_others_is_refused(options: list[str], said: str) -> None:
    result = CliRunner().invoke(main, ["web", *options])
    assert result.exit_code == 2
    assert said in result.stderr


def test_hosts() -> None:
    assert hosts_of("127.0.0.1", 8420, ()) == ["127.0.0.1:8420", "localhost:8420", "[::1]:8420"]
    assert hosts_of("0.0.0.0", 80, ("A.example",)) == ["a.example"]
    assert hosts_of("10.0.0.1", 80, ()) == ["10.0.0.1:80", "10.0.0.1"]
