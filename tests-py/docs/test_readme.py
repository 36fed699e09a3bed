"""README as a newcomer meets it: its blocks, in their order, after its own installation.

Nothing is there but what README's commands put there. What follows the installation runs in the
database that they make, and in those of two servers: one to which files can be copied, and one
to which they cannot.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from psycopg.conninfo import make_conninfo

from docs.pages import Block, blocks
from quantumflow_client.embedded import EmbeddedServer
from support.server import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

README = REPOSITORY / "README.md"


@dataclass
class Newcomer:
    """Somebody with a clone, a shell in it, and README."""

    folder: Path
    environment: dict[str, str]

    def types(self, script: str) -> str:
        """Run lines of shell; those of make, which a clone is for, only as far as they exist."""
        make = f'make() {{ command make -n -C "{REPOSITORY}" "$@"; }}'
        done = subprocess.run(
            ["sh", "-ec", f"{make}\n{script}"],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def asks(self, psql: list[str], block: Block) -> None:
        """Paste a block into psql."""
        done = subprocess.run(
            [*psql, "-X", "-q", "-v", "ON_ERROR_STOP=1"],
            check=False,
            capture_output=True,
            text=True,
            input=block.text,
            env=self.environment,
        )
        assert done.returncode == 0, f"README.md:{block.line}: {done.stderr}"

    def runs(self, block: Block) -> None:
        """Save a block as a program, and run it."""
        program = self.folder / "program.py"
        program.write_text(block.text, "utf-8")
        self.types("python program.py")

    def with_database(self, dsn: str) -> Newcomer:
        """The same, with a database of their own."""
        return replace(self, environment=self.environment | {"QUANTUMFLOW_DSN": dsn})

    def follows(self, page: list[Block], psql: list[str]) -> None:
        """Do what README says after its installation."""
        for block in page:
            if block.language == "sql":
                self.asks(psql, block)
            else:
                assert block.language == "python"
                self.runs(block)


def after_install() -> tuple[list[Block], list[Block], Block]:
    """The blocks for the shell, all others, and of these the one that installs in a server."""
    page = list(blocks(README))
    shell = [block for block in page if block.language == "sh"]
    others = [block for block in page if block.language != "sh"]
    (install,) = (block for block in others if "create extension" in block.text)
    assert {block.language for block in others} == {"sql", "python"}
    return shell, others, install


@pytest.fixture(
    scope="module",
    params=[pytest.param("fresh", marks=[pytest.mark.long, pytest.mark.timeout(600)]), "ours"],
)
def newcomer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Newcomer]:
    """Somebody who has followed README's commands; in short, with the packages of the tests."""
    folder = tmp_path_factory.mktemp("newcomer")
    for part in ("python-client", "extension"):
        (folder / part).symlink_to(REPOSITORY / part)
    for_the_demo = re.findall(r"installed with `(pip install .*)`", README.read_text("utf-8"))
    script = "\n".join([*(block.text for block in after_install()[0]), *for_the_demo])
    programs = [folder / "env" / "bin", Path(sys.base_prefix) / "bin"]
    if request.param == "ours":
        script = re.sub(r"^(python3 -m venv|\.|pip) .*$", "", script, flags=re.MULTILINE)
        programs = [Path(sys.prefix) / "bin"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "QUANTUMFLOW", "VIRT"))}
    path = ":".join([*map(str, programs), "/usr/bin", "/bin"])
    someone = Newcomer(folder, kept | {"PATH": path})
    try:
        someone.types(script)
        yield someone
    finally:
        EmbeddedServer(folder / ".quantumflow").destroy()


def test_without_a_server(newcomer: Newcomer) -> None:
    newcomer.types("quantumflow demo --no-kill --limit 10")  # the first line of README
    _, others, _ = after_install()
    psql = shlex.split(json.loads(newcomer.types("quantumflow dev --json"))["psql"])
    newcomer.follows(others, psql)


def test_with_a_server_that_has_the_files(
    newcomer: Newcomer, server: EmbeddedServer, new_database: Callable[..., str]
) -> None:
    dsn = server.dsn(new_database())
    _, others, _ = after_install()
    newcomer.with_database(dsn).follows(others, [str(server.bindir / "psql"), dsn])


def test_with_a_server_that_takes_no_files(
    newcomer: Newcomer, server: EmbeddedServer, new_database: Callable[..., str]
) -> None:
    dsn = make_conninfo(server.dsn(new_database()), options="-c extension_control_path=$system")
    _, others, install = after_install()
    owner = newcomer.with_database(dsn)
    owner.types("quantumflow install --plain")
    rest = [block for block in others if block != install]
    owner.follows(rest, [str(server.bindir / "psql"), dsn])
