from __future__ import annotations

from datetime import timedelta
from typing import Any

from agent import Question, agent, client

from quantumflow_client.testing import Outcome, Signal, run

LENGTH = ("length", "quantumflow")


class Scripted:
    """A model that does one thing after the other; an error is raised once."""

    def __init__(self, *script: Any) -> None:
        self.script = [*script]

    def choose(self, _: str, notes: list[str]) -> tuple[str, str]:
        done = self.script.pop(0)
        if isinstance(done, Exception):
            raise done
        tool, asked = done
        return tool, asked.format(*notes)


def ask(*script: Any, **more: Any) -> tuple[Outcome[Any], list[str]]:
    sent: list[str] = []
    resources = {"model": Scripted(*script), "outbox": sent}
    question = Question("How long is it?")
    return run(agent, question, client=client, resources=resources, **more), sent


def test_it_uses_tools_until_it_has_an_answer_that_somebody_approves() -> None:
    approval = Signal("approved", "ann", after=timedelta(days=1))
    outcome, sent = ask(LENGTH, LENGTH, ("answer", "{0} letters"), signals=[approval])
    assert sent == ["11 letters"]
    assert outcome.steps["think"].attempts == 3
    assert outcome.took >= timedelta(days=1)


def test_what_nobody_approves_is_not_sent() -> None:
    outcome, sent = ask(("answer", "42"))
    assert (outcome.status, outcome.steps["send"].status, sent) == ("completed", "skipped", [])


def test_a_turn_that_fails_is_repeated_alone() -> None:
    outcome, sent = ask(
        LENGTH, ConnectionError("busy"), ("answer", "{0}"), signals={"approved": "ann"}
    )
    assert sent == ["11"]
    assert outcome.steps["think"].attempts == 3


def test_a_model_that_finds_no_end_is_stopped() -> None:
    outcome, _ = ask(*[LENGTH] * 25)
    assert outcome.status == "failed"
    assert outcome.steps["think"].attempts == 20


def test_a_tool_that_is_none_fails_at_once() -> None:
    outcome, _ = ask(("rm", "/"))
    assert "there is no tool 'rm'" in str(outcome.error)
