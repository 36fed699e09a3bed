"""Every command says what it does, and shows how."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

import quantumflow_client
from quantumflow_client.cli import main
from quantumflow_client.cli._errors import EXIT_CODES, Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.command import Command


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        elif name != "demo":  # has its own
            yield f"{path}{name}", command


ALL = dict(commands(main))


@pytest.mark.parametrize("name", ALL)
def test_every_command_and_option_explains_itself(name: str, lost: Command) -> None:
    said = lost(*name.split(), "--help").stdout
    assert f"Example:\n    quantumflow {name}" in said
    for option in ALL[name].params:
        if isinstance(option, click.Option):
            assert option.help, f"{option.opts} has no help"
            assert option.opts[0] in said
    assert {"--dsn", "--json"} <= {word for option in ALL[name].params for word in option.opts}


def test_first_lines_fit_the_list_of_commands(lost: Command) -> None:
    assert "..." not in lost("--help").stdout.partition("Commands:")[2]


def test_help_lists_every_exit_code(lost: Command) -> None:
    said = lost("--help").stdout
    assert set(EXIT_CODES) == set(Exit)
    for code, meaning in EXIT_CODES.items():
        assert f"{code.value:>3}  {meaning}\n" in said


def test_without_a_command_it_helps(lost: Command) -> None:
    assert lost().stdout == lost("--help").stdout
    assert "deploy" in lost("flow").stdout


def test_the_installed_program_runs(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("quantumflow")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "QUANTUMFLOW"))}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *words],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
        )

    said = run("--version")
    assert (said.returncode, said.stdout.strip()) == (0, quantumflow_client.__version__)
    failed = run("list")
    assert (failed.returncode, failed.stdout) == (5, "")
    assert re.match(r"Error: no database is named\nDETAIL: .*\nHINT: .*\n$", failed.stderr)


def test_the_demo_is_called_with_its_own_options(
    lost: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lost("demo", "--help").stdout.startswith("Usage: quantumflow demo [OPTIONS]\n")
    called = []
    demo = importlib.import_module("quantumflow_client.demo")

    def as_a_function(arguments: list[str]) -> int:
        called.append(arguments)
        return 1

    monkeypatch.setattr(demo, "main", as_a_function)
    lost("demo", "--some", "option", "more", expect=1)
    assert called == [["--some", "option", "more"]]
