"""quantumflow flow: validate, deploy, show, list, delete."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from support.command import DIAMOND, MAP, ONE_STEP, Command

if TYPE_CHECKING:
    from pathlib import Path

Define = Callable[[dict[str, Any]], str]

DIAMOND_TEXT = """\
diamond: Order handling

   1  validate
   2  charge    <- validate
      pack      <- validate
   3  ship      <- charge, pack
"""
DIAMOND_MERMAID = """\
flowchart TD
  s0["ship"]
  s1["validate"]
  s2["charge"]
  s3["pack"]
  s2 --> s0
  s3 --> s0
  s1 --> s2
  s1 --> s3
"""
MAP_TEXT = """\
fan

   1  fetch[]  <- run[]
   2  end      <- fetch
   3  sizes[]  <- fetch[], end
     on failure: page

step[] has a task for each item of what it names with []
"""
MAP_MERMAID = """\
flowchart TD
  run(["input of the run"])
  s0[["fetch"]]
  s1[["sizes"]]
  s2["end"]
  run -->|each| s0
  s0 -->|each| s1
  s2 --> s1
  s0 --> s2
"""

GATED = {
    "slug": "gated",
    "steps": [
        {"name": "check"},
        {"name": "a", "dependencies": ["check"], "if": '$.check.kind == "a" && $.run.n < 5'},
        {"name": "b", "dependencies": ["check"], "if": "$.run.n >= 5", "otherwise": "fail"},
        {"name": "joined", "dependencies": ["a", "b"], "join": "any", "fallback": {"n": None}},
        {
            "name": "each",
            "type": "map",
            "dependencies": ["check"],
            "tolerate": "5%",
            "on_error": "continue",
        },
        {"name": "tidy", "dependencies": ["joined"], "join": "none", "after": ["each"]},
        {"name": "last", "after": ["tidy"], "prefer_after": ["a"]},
    ],
}
GATED_TEXT = """\
gated

   1  check
   2  a       <- check
                 if $.check.kind == "a" && $.run.n < 5
      b       <- check
                 if $.run.n >= 5, or it fails
      each[]  <- check[]
                 if it fails, the run goes on
                 of its tasks 5% may fail
   3  joined  <- a, b (needs any)
                 if it fails, its output is {"n": null}
   4  tidy    <- joined (needs none); after each
   5  last    <- after tidy, a

step[] has a task for each item of what it names with []
"""
GATED_MERMAID = """\
flowchart TD
  s0["check"]
  s1["a<br>if $.check.kind == #quot;a#quot; #amp;#amp; $.run.n #lt; 5"]
  s2["b<br>if $.run.n #gt;= 5, or it fails"]
  s3["joined<br>needs any of them<br>if it fails, its output is {#quot;n#quot;: null}"]
  s4[["each<br>if it fails, the run goes on<br>of its tasks 5% may fail"]]
  s5["tidy<br>needs none of them"]
  s6["last"]
  s0 --> s1
  s0 --> s2
  s1 --> s3
  s2 --> s3
  s0 -->|each| s4
  s3 --> s5
  s4 -.-> s5
  s5 -.-> s6
  s1 -.-> s6
"""


WAITING = {
    "slug": "waiting",
    "run_timeout": 86400,
    "steps": [
        {"name": "order"},
        {"name": "pause", "type": "sleep", "seconds": 0.5, "dependencies": ["order"]},
        {"name": "due", "type": "sleep", "at": "$.order.due", "dependencies": ["order"]},
        {"name": "approved", "type": "wait", "timeout": 60, "after": ["pause"]},
        {"name": "paid", "type": "wait", "signals": ["paid", "error"], "after": ["due"]},
        {"name": "named", "type": "wait", "signal": "go", "if": "1 == 1", "after": ["due"]},
    ],
}
WAITING_TEXT = """\
waiting

   1  order
   2  pause     <- order
                   sleeps 0.5 s
      due       <- order
                   sleeps until $.order.due
   3  approved  <- after pause
                   waits for the signal approved, 60 s at most
      paid      <- after due
                   waits for the signal paid or error
      named     <- after due
                   waits for the signal go
                   if 1 == 1
    run timeout: 86400 s
"""
WAITING_MERMAID = """\
flowchart TD
  s0["order"]
  s1["pause<br>sleeps 0.5 s"]
  s2["due<br>sleeps until $.order.due"]
  s3["approved<br>waits for the signal approved, 60 s at most"]
  s4["paid<br>waits for the signal paid or error"]
  s5["named<br>waits for the signal go<br>if 1 == 1"]
  s0 --> s1
  s0 --> s2
  s1 -.-> s3
  s2 -.-> s4
  s2 -.-> s5
"""

LOOPING = {
    "slug": "looping",
    "steps": [
        {"name": "refine", "type": "loop", "until": "$.last.ok == true", "max_iterations": 9},
        {
            "name": "read",
            "type": "loop",
            "while": "$.last.next != null",
            "max_iterations": 2,
            "delay": 0.5,
            "dependencies": ["refine"],
        },
    ],
}
LOOPING_TEXT = """\
looping

   1  refine
                 again until $.last.ok == true, 9 times at most
   2  read    <- refine
                 again while $.last.next != null, 2 times at most, 0.5 s apart
"""
LOOPING_MERMAID = """\
flowchart TD
  s0["refine<br>again until $.last.ok == true, 9 times at most"]
  s1["read<br>again while $.last.next != null, 2 times at most, 0.5 s apart"]
  s0 -->|again| s0
  s0 --> s1
  s1 -->|again| s1
"""


@pytest.mark.parametrize(
    ("definition", "text", "mermaid"),
    [
        (DIAMOND, DIAMOND_TEXT, DIAMOND_MERMAID),
        (MAP, MAP_TEXT, MAP_MERMAID),
        (GATED, GATED_TEXT, GATED_MERMAID),
        (WAITING, WAITING_TEXT, WAITING_MERMAID),
        (LOOPING, LOOPING_TEXT, LOOPING_MERMAID),
    ],
    ids=["diamond", "map", "gated", "waiting", "looping"],
)
def test_a_graph_is_drawn(
    definition: dict[str, Any],
    text: str,
    mermaid: str,
    quantumflow: Command,
    lost: Command,
    define: Define,
    tmp_path: Path,
) -> None:
    file = tmp_path / "flow.json"
    file.write_text(json.dumps(definition))
    assert lost("flow", "show", file).stdout == text
    assert lost("flow", "show", file, "--mermaid").stdout == mermaid
    slug = define(definition)
    assert quantumflow("flow", "show", slug).stdout == text
    assert quantumflow("flow", "show", slug, "--text").stdout == text
    assert quantumflow("flow", "show", slug, "--mermaid").stdout == mermaid


def test_what_is_wrong_is_drawn_too(lost: Command) -> None:
    cycle = {
        "slug": "c",
        "steps": [
            {"name": 'a "#"', "dependencies": ["b", "nosuch"]},
            {"name": "b", "dependencies": ['a "#"']},
            {"name": "c"},
        ],
    }
    drawn = lost("flow", "show", "-", input=json.dumps(cycle)).stdout
    assert drawn == 'c\n\n   1  c\n   2  a "#"  <- b, nosuch\n      b      <- a "#"\n'
    drawn = lost("flow", "show", "-", "--mermaid", input=json.dumps(cycle)).stdout
    assert 's0["a #quot;#35;#quot;"]' in drawn
    for nonsense in ("7", "{}", '{"steps": [3]}', '{"steps": null}'):
        said = lost.error("flow", "show", "-", input=nonsense, expect=2)
        assert "no definition" in said["message"]


def test_a_definition_is_shown_as_json(quantumflow: Command, define: Define) -> None:
    define(ONE_STEP)
    shown = quantumflow.json("flow", "show", "one")
    assert (shown["slug"], [step["name"] for step in shown["steps"]]) == ("one", ["only"])
    quantumflow("start", "one")
    define({"slug": "one", "steps": [{"name": "other"}]})
    assert quantumflow.json("flow", "show", "one")["steps"][0]["name"] == "other"
    assert quantumflow.json("flow", "show", "one", "--version", 1)["steps"][0]["name"] == "only"
    assert quantumflow.error("flow", "show", "one", "--version", 3, expect=3)["code"] == "QF112"
    assert (
        "--version" in quantumflow.error("flow", "show", "-", "--version", 1, expect=2)["message"]
    )


def test_a_condition_is_asked_of_an_input(quantumflow: Command, define: Define) -> None:
    define(GATED)
    given = '{"run": {"n": 3}, "check": {"kind": "a"}}'
    assert quantumflow("flow", "test", "gated", "a", given).stdout == (
        'true: the step runs\n  $.run.n  [3]\n  $.check.kind  ["a"]\n'
    )
    assert quantumflow("flow", "test", "gated", "b", given).stdout.startswith("false\n")
    unknown = quantumflow("flow", "test", "gated", "b", '{"run": {}}').stdout
    assert unknown.startswith("unknown: the step fails; $.run.n is not there: JSON object does not")
    shown = quantumflow.json("flow", "test", "gated", "a", given)
    assert (shown["result"], shown["saw"]["$.check.kind"]) == (True, ["a"])
    assert quantumflow.error("flow", "test", "gated", "c", "{}", expect=3)["code"] == "QF120"
    wrong = quantumflow.error(
        "flow", "test", "gated", "a", given, "--status", '{"check": "done"}', expect=4
    )
    assert wrong["code"] == "QF101"


def test_every_problem_of_a_definition_is_said(quantumflow: Command, tmp_path: Path) -> None:
    file = tmp_path / "wrong.json"
    file.write_text(
        json.dumps({"slug": "w", "max_attemts": 3, "steps": [{"name": "a", "depends_on": ["b"]}]})
    )
    problems = quantumflow.lines("flow", "validate", file, expect=1)
    assert [(p["code"], p["path"]) for p in problems] == [
        ("QF102", "max_attemts"),
        ("QF105", "steps[0].depends_on[0]"),
    ]
    assert set(problems[0]) == {"code", "path", "message"}
    said = quantumflow("flow", "validate", file, expect=1).stdout
    assert "QF102  max_attemts" in said
    assert quantumflow("flow", "validate", "-", input=json.dumps(MAP)).stdout == (
        "The definition is valid.\n"
    )
    assert quantumflow.lines("flow", "list") == [], "nothing is defined"
    assert quantumflow.error("flow", "deploy", file, expect=4)["code"] == "QF102"


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "flow.json is not JSON"), ("\xff", "cannot read"), (None, "cannot read 'flow.json'")],
)
def test_a_file_that_cannot_be_read(
    text: str | None, says: str, lost: Command, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "flow.json").write_bytes(text.encode("latin-1"))
    assert says in lost.error("flow", "deploy", "flow.json", expect=2)["message"]


def test_a_version_becomes_current(quantumflow: Command, define: Define) -> None:
    define(ONE_STEP)
    define(ONE_STEP)
    quantumflow("start", "one")
    said = quantumflow("flow", "deploy", "-", input=json.dumps(ONE_STEP)).stdout
    assert said.startswith("one: version 1 is current, and has run since 2")
    other = ONE_STEP | {"title": "New"}
    assert quantumflow.json("flow", "deploy", "-", input=json.dumps(other)) == {
        "workflow_slug": "one",
        "version": 2,
        "frozen_at": None,
        "current_version": 2,
    }
    (listed,) = quantumflow.lines("flow", "list")
    assert listed.pop("created_at") > "20"
    assert listed == {
        "workflow_slug": "one",
        "title": "New",
        "current_version": 2,
        "versions": 2,
        "steps": 1,
        "frozen": False,
    }
    assert quantumflow("flow", "list").stdout.splitlines()[1].split()[:4] == ["one", "2", "1", "no"]


def test_an_older_version_becomes_current_only_when_told(quantumflow: Command) -> None:
    old, new = (json.dumps(ONE_STEP | {"title": title}) for title in ("Old", "New"))
    deploy = ("flow", "deploy", "-")
    assert quantumflow.json(*deploy, input=old)["version"] == 1
    assert quantumflow.json(*deploy, input=new)["version"] == 2
    said = quantumflow(*deploy, input=old).stdout
    assert said == "one: this is version 1, and version 2, which is newer, stays current.\n"
    found = quantumflow.json(*deploy, input=old)
    assert (found["version"], found["current_version"]) == (1, 2)
    assert quantumflow(*deploy, "--rollback", input=old).stdout == "one: version 1 is current.\n"
    assert [flow["current_version"] for flow in quantumflow.lines("flow", "list")] == [1]


def test_a_slug_beside_a_definition(quantumflow: Command) -> None:
    text = json.dumps({key: value for key, value in ONE_STEP.items() if key != "slug"})
    validate, deploy = ("flow", "validate", "-"), ("flow", "deploy", "-", "--slug", "beside")
    quantumflow(*validate, input=text, expect=1)
    quantumflow(*validate, "--slug", "beside", input=text)
    assert quantumflow.json(*deploy, input=text)["workflow_slug"] == "beside"
    assert quantumflow.error(*deploy, input=json.dumps(ONE_STEP), expect=4)["code"] == "QF103"


def test_a_flow_written_in_python(
    quantumflow: Command, lost: Command, module: Callable[[str], str]
) -> None:
    name = module(
        "from quantumflow_client import Flow\n"
        "flow = Flow('py')\n"
        "@flow.step\n"
        "def first(run): ...\n"
        "class Deep: definition = {'slug': 'deep', 'steps': [{'name': 's'}]}\n"
    )
    assert "first" in lost("flow", "show", f"{name}:flow").stdout
    assert quantumflow("flow", "validate", f"{name}:flow").exit_code == 0
    assert quantumflow.json("flow", "deploy", f"{name}:flow")["workflow_slug"] == "py"
    assert quantumflow.json("flow", "deploy", f"{name}:Deep.definition")["version"] == 1
    assert "is a type" in lost.error("flow", "show", f"{name}:Deep", expect=2)["message"]
    assert "no 'nosuch'" in lost.error("flow", "show", f"{name}:nosuch", expect=2)["message"]
    assert "no module" in lost.error("flow", "show", "nosuch_module:x", expect=2)["message"]
    broken = module("import nosuch_dependency")
    said = lost.error("flow", "show", f"{broken}:x", expect=2)["message"]
    assert "cannot be imported: ModuleNotFoundError: No module named 'nosuch_dependency'" in said


def test_a_workflow_without_runs_can_be_deleted(quantumflow: Command, define: Define) -> None:
    define(ONE_STEP)
    quantumflow("start", "one")
    assert quantumflow.error("flow", "delete", "one", expect=4)["code"] == "QF113"
    define(DIAMOND)
    assert quantumflow.json("flow", "delete", "diamond")["deleted"] is True
    assert [flow["workflow_slug"] for flow in quantumflow.lines("flow", "list")] == ["one"]
