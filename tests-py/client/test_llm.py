"""A planner that asks a model: against a server that speaks the protocol, and misbehaves."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from quantumflow_client import Client, PermanentError, RetryAfter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

llm = pytest.importorskip("quantumflow_client.llm")

KEY = "sk-very-secret"
GRAPH = {"tasks": [{"id": "a"}]}
Answer = tuple[int, dict[str, str], Any] | str


class Server:
    """Answers in turn as it was told, the last one for ever, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[dict[str, Any]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.asked.append(body | {"key": self.headers["Authorization"]})
                answers = server.answers
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                status, headers, found = (
                    (200, {}, said(answer)) if isinstance(answer, str) else answer
                )
                text = json.dumps(found).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"


def said(text: str | None, finish: str = "stop", refusal: str | None = None) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": refusal}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("QUANTUMFLOW_LLM_MODEL", "m")
    thread = threading.Thread(target=server.http.serve_forever, args=[0.01])
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


def plan(**given: Any) -> Any:
    asked = {"goal": "g", "context": {}, "args": {}, "commands": [], "problems": []}
    return llm.planner(**given)(**asked)


@pytest.mark.parametrize(
    "text",
    [
        '{"tasks": [{"id": "a"}]}',
        'Sure! Here is the plan:\n```json\n{"tasks": [{"id": "a"}]}\n```\nGood luck {you}!',
        'I use {braces}, [] and more: {"tasks": [{"id": "a"}]}',
    ],
)
def test_a_graph_is_found_whatever_is_around_it(model: Server, text: str) -> None:
    model.answers = [text]
    assert plan() == GRAPH
    (asked,) = model.asked
    assert (asked["model"], asked["key"]) == ("m", f"Bearer {KEY}")
    assert asked["response_format"]["type"] == "json_schema"
    assert json.loads(asked["messages"][1]["content"]) == {
        "goal": "g",
        "context": {},
        "args": {},
        "commands": [],
    }


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ("I cannot.", ValueError, "no JSON"),
        ('{"tasks": [{"id": "a"', ValueError, "no JSON"),
        ("[" * 100_000, ValueError, "no JSON"),
        ((200, {}, said('{"tasks": [', "length")), ValueError, "cut off"),
        ((200, {}, said(None, refusal=KEY)), PermanentError, "refused"),
        ((200, {}, {**said("x"), "choices": []}), ValueError, "nothing"),
        ((429, {"Retry-After": "7"}, {"error": {"message": KEY}}), RetryAfter, "busy"),
        ((401, {}, {"error": {"message": f"bad key {KEY}"}}), PermanentError, "status 401"),
        ((400, {}, {"error": {"message": KEY}}), PermanentError, "status 400"),
        ((503, {}, {"error": {"message": KEY}}), ConnectionError, "status 503"),
    ],
)
def test_what_goes_wrong_is_said_without_what_was_sent(
    model: Server, answer: Answer, error: type[Exception], words: str
) -> None:
    model.answers = [answer]
    with pytest.raises(error, match=words) as caught:
        plan()
    raised: BaseException | None = caught.value
    while raised is not None:
        assert KEY not in str(raised)
        raised = raised.__cause__ or raised.__context__
    if isinstance(caught.value, RetryAfter):
        assert caught.value.seconds == 7


def test_who_cannot_be_reached_or_asked(model: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConnectionError, match="cannot be reached"):
        plan(base_url="http://127.0.0.1:9/v1")
    monkeypatch.delenv("QUANTUMFLOW_LLM_MODEL")
    with pytest.raises(PermanentError, match="no model is named"):
        plan()


def test_a_refused_graph_goes_back_to_the_model(model: Server, client: Client) -> None:
    model.answers = ['{"tasks": [{"id": "rm"}]}', '{"tasks": [{"id": "a"}]}']
    client.decomposer("assistant", may_use=["a"])(llm.planner())
    client.deploy_decomposers()
    steps: dict[str, Callable[..., Any]] = {
        "a": lambda: 1,
        "assistant": client._handlers["assistant"].function,
    }
    result = client.compose_from_goal("do it", "assistant", steps, timeout=30)
    assert (result.status, result.outputs) == ("completed", {"a": 1})
    told = json.loads(model.asked[1]["messages"][1]["content"])["problems"]
    assert [problem["code"] for problem in told] == ["QF602"]
