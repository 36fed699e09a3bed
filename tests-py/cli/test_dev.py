"""quantumflow dev: a server of one's own, which other commands find."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from quantumflow_client.embedded import EmbeddedServer

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from support.command import Command


def test_a_server_in_the_current_folder(
    lost: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = EmbeddedServer(tmp_path / ".quantumflow", settings={"fsync": "off"})
    server.start()  # so that it is quick; dev finds it
    try:
        made = lost.json("dev")
        assert set(made) == {"directory", "running", "dsn", "psql"}
        assert lost.lines("list", "--dsn", made["dsn"]) == []
        assert lost.lines("list") == [], "it is found without being named"

        called: list[list[str]] = []
        monkeypatch.setattr(os, "execv", lambda *words: called.append(words[1]))
        said = lost("dev", "--psql").stdout
        assert called == [[str(server.bindir / "psql"), made["dsn"]]]
        assert f"  dsn   {made['dsn']}\n" in said

        assert lost.json("dev", "--stop") == {"directory": ".quantumflow", "running": False}
        assert not server.is_running
        assert lost("dev", "--stop").stdout == "No server runs in .quantumflow.\n"

        assert lost.json("version")["database"], "it is started when it is needed"
        assert server.is_running
    finally:
        server.destroy()


def test_stopping_makes_nothing(lost: Command, tmp_path: Path) -> None:
    assert lost.json("dev", "--stop", "--directory", "elsewhere")["running"] is False
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used(lost: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "'--directory'" in lost.error("dev", "--directory", "file", expect=2)["message"]
    assert "--dsn" in lost.error("dev", "--dsn", "", expect=2)["message"]
