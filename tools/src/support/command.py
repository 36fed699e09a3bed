"""The command quantumflow, called in this process, and workflows for it."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from quantumflow_client.cli import main

DIAMOND = {
    "slug": "diamond",
    "title": "Order handling",
    "steps": [
        {"name": "ship", "dependencies": ["charge", "pack"]},
        {"name": "validate"},
        {"name": "charge", "dependencies": ["validate"]},
        {"name": "pack", "dependencies": ["validate"]},
    ],
}
MAP = {
    "slug": "fan",
    "on_failure": "page",
    "steps": [
        {"name": "fetch", "type": "map"},
        {"name": "sizes", "type": "map", "dependencies": ["fetch", "end"], "map_over": "fetch"},
        {"name": "end", "depends_on": ["fetch"]},
    ],
}
ONE_STEP = {"slug": "one", "steps": [{"name": "only"}]}


class Command:
    """Calls quantumflow: in the environment of a user who has only QUANTUMFLOW_DSN set."""

    def __init__(self, dsn: str | None) -> None:
        self.environment = {"QUANTUMFLOW_DSN": dsn}

    def __call__(self, *arguments: object, expect: int = 0, **options: Any) -> Result:
        words = [str(argument) for argument in arguments]
        runner = CliRunner(env=self.environment)
        result = runner.invoke(main, words, catch_exceptions=False, **options)
        shown = f"{result.exit_code}\n{result.stdout}\n{result.stderr}"
        assert result.exit_code == expect, f"quantumflow {' '.join(words)} ended with {shown}"
        return result

    def json(self, *arguments: object, expect: int = 0, **options: Any) -> Any:
        """The one document that it prints."""
        return json.loads(self(*arguments, "--json", expect=expect, **options).stdout)

    def lines(self, *arguments: object, expect: int = 0, **options: Any) -> list[Any]:
        """The documents that it prints, one a line."""
        result = self(*arguments, "--json", expect=expect, **options)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def error(self, *arguments: object, expect: int, **options: Any) -> dict[str, Any]:
        """What it reports on the standard error."""
        result = self(*arguments, "--json", expect=expect, **options)
        error: dict[str, Any] = json.loads(result.stderr)["error"]
        assert set(error) == {"code", "message", "detail", "hint", "exit_code"}
        assert error["exit_code"] == expect
        return error

    def start(self, *arguments: object) -> str:
        """Start a run; its id."""
        run_id: str = self.json("start", *arguments)["run_id"]
        return run_id
