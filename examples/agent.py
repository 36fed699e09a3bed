"""An agent: a model chooses a tool again and again until it has an answer, which a person approves.

quantumflow worker agent:client
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from quantumflow_client import Client, Context, Flow, PermanentError


@dataclass
class Question:
    """What somebody wants to know."""

    text: str


@dataclass
class Turn:
    """What the model has done so far: what it was told by tools, and its answer once it has one."""

    notes: list[str] = field(default_factory=list)
    answer: str | None = None


class Model(Protocol):
    """A language model."""

    def choose(self, question: str, notes: list[str], /) -> tuple[str, str]:
        """A tool and what it is asked, or "answer" and the answer."""


Tools = dict[str, Callable[[str], str]]

client = Client()
agent = Flow("agent", input=Question, resources=["model", "tools", "outbox"])


@client.resource
def model() -> Model:
    """The real one."""
    raise NotImplementedError("connect to a model here")


@client.resource
def tools() -> Tools:
    """What it may use, by name."""
    return {"length": lambda text: str(len(text))}


@client.resource
def outbox() -> list[str]:
    """Where answers go."""
    return []


@agent.loop(
    until="$.last.answer != null",
    max_iterations=20,
    timeout=timedelta(minutes=2),
    max_attempts=4,
    retry_delay=timedelta(seconds=30),
)
def think(
    ctx: Context, model: Model, tools: Tools, last: Turn | None, run: Question = agent.input
) -> dict[str, Any]:
    """Let the model choose once: each turn is kept, so that a crash repeats one at most."""
    turn = last or Turn()
    tool, asked = model.choose(run.text, turn.notes)
    ctx.usage(calls=1)
    if tool == "answer":
        turn.answer = asked
    elif tool in tools:
        turn.notes.append(tools[tool](asked))
    else:
        raise PermanentError(f"there is no tool {tool!r}")
    return asdict(turn)


approved = agent.wait_for(
    "approved", timeout=timedelta(days=2), depends_on=[think], on_error="continue"
)


@agent.step(depends_on=[think], after=[approved], if_='$status.approved == "completed"')
def send(outbox: list[str], think: Turn) -> str:
    """Send what was approved."""
    assert think.answer is not None
    outbox.append(think.answer)
    return think.answer


client.register(agent)
