"""Dockerfile.postgres, without Docker: its steps run in a folder that plays the image's root."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from quantumflow_client import _extension
from support.server import REPOSITORY, build_extension, server_kind

if TYPE_CHECKING:
    from quantumflow_client.embedded import EmbeddedServer

# Folders of the image that its steps name.
PLACES = re.compile(r"(?<![\w$)/])/(?=pgmq|tmp|docker-entrypoint-initdb\.d)")

Steps = list[tuple[str, str]]


def steps() -> Steps:
    """The Dockerfile's instructions and their arguments, continuation lines joined."""
    text = (REPOSITORY / "Dockerfile.postgres").read_text("utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line]


def copied() -> list[str]:
    """The files that come from the repository."""
    found = []
    for instruction, arguments in steps():
        if instruction == "COPY" and "--from" not in arguments:
            found += arguments.split()[:-1]
    return found


@dataclass
class Image:
    """A folder that plays the root of the image."""

    root: Path

    def run(self, instruction: str, arguments: str, folder: Path) -> Path:
        """Do what an instruction says, and return the folder that the next one works in."""
        inside = PLACES.sub(f"{self.root}/", arguments)
        if instruction == "WORKDIR":
            folder = Path(inside)
            folder.mkdir(parents=True)
        elif instruction == "COPY":
            *sources, target = inside.replace("--from=pgmq ", "").split()
            Path(target).mkdir(parents=True, exist_ok=True)
            script = (
                f"cp -r -- {' '.join(s + '.' if s.endswith('/') else s for s in sources)} {target}"
            )
            subprocess.run(["sh", "-ec", script], check=True, cwd=REPOSITORY)
        elif instruction == "RUN":
            # python and pip are the image's there, and here those that run the tests.
            path = f"{self.root}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
            subprocess.run(
                ["sh", "-ec", inside], check=True, cwd=folder, env=os.environ | {"PATH": path}
            )
        else:
            assert instruction == "FROM", f"the test does not know {instruction}"
        return folder


@pytest.fixture
def image(server: EmbeddedServer) -> Image:
    """What the Dockerfile's steps make; where the server's user can read it."""
    build_extension()
    root = server.home / "image"
    for part in ("bin", "share/extension", "docker-entrypoint-initdb.d"):
        (root / part).mkdir(parents=True)
    pg_config = root / "bin" / "pg_config"
    pg_config.write_text(f'#!/bin/sh\ntest "$*" = --sharedir && echo {root}/share\n')
    pg_config.chmod(0o755)

    made = Image(root)
    folder = root
    for instruction, arguments in steps():
        folder = made.run(instruction, arguments, folder)
    return made


def test_every_copied_file_exists() -> None:
    build_extension()
    assert copied()
    for pattern in copied():
        assert list(REPOSITORY.glob(pattern.rstrip("/"))), pattern


@pytest.mark.skipif(
    server_kind() == "system", reason="needs PostgreSQL 18's extension_control_path"
)
def test_its_steps_make_a_server_with_both_extensions(
    image: Image, server: EmbeddedServer, new_database: type[str]
) -> None:
    (script,) = (image.root / "docker-entrypoint-initdb.d").iterdir()
    with psycopg.connect(server.dsn(new_database()), autocommit=True) as connection:
        # Nothing but the image's files: not those that the server was started with.
        connection.execute(
            "select set_config('extension_control_path', %s, false)", [f"{image.root}/share"]
        )
        connection.execute(script.read_bytes())
        found = connection.execute(
            "select extversion from pg_extension where extname = 'quantumflow'"
        )
        assert found.fetchone() == (_extension.version(),)
    assert not (image.root / "tmp" / "extension").exists()
