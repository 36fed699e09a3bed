"""The embedded server: found again, recovered, never on TCP."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest

from quantumflow_client.embedded import EmbeddedServer, EmbeddedServerError
from support.server import server_kind

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.system


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "server"


def test_it_offers_both_extensions_and_listens_on_a_socket_only(
    server: EmbeddedServer, dsn: str
) -> None:
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "select array(select extname from pg_extension where extname <> 'plpgsql' order by 1)"
        ).fetchone()
        assert found == (["pgmq", "quantumflow"],)
        assert connection.execute("show listen_addresses").fetchone() == ("",)


def test_a_second_object_finds_the_running_server(folder: Path) -> None:
    first = EmbeddedServer(folder, kind=server_kind(), settings={"fsync": "off"})
    second = EmbeddedServer(folder, kind=server_kind())
    try:
        with first:
            dsn = first.create_database("kept")
            with second:
                assert second.dsn("kept") == dsn
            assert first.is_running, "who found it running leaves it running"
        assert not second.is_running
    finally:
        first.destroy()
    assert not folder.exists()


def test_many_may_start_it_at_once(folder: Path) -> None:
    def start() -> str:
        server = EmbeddedServer(folder, kind=server_kind(), settings={"fsync": "off"})
        server.start()
        return server.create_database("shared")

    try:
        with ThreadPoolExecutor(4) as pool:
            dsns = {future.result() for future in [pool.submit(start) for _ in range(4)]}
        assert len(dsns) == 1
    finally:
        EmbeddedServer(folder, kind=server_kind()).destroy()


def test_data_survives_a_crash_and_a_process_number_used_again(folder: Path) -> None:
    server = EmbeddedServer(folder, kind=server_kind())
    try:
        server.start()
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
            connection.execute("create table kept as select 42 as n")
        server.stop("immediate")

        pid_file = server.home / "server" / "data" / "postmaster.pid"
        pid_file.write_text(f"{os.getpid()}\n{pid_file.parent}\n1\n5432\n{server.home}\n")
        assert not server.is_running
        server.start()
        with psycopg.connect(server.dsn("postgres")) as connection:
            assert connection.execute("select n from kept").fetchone() == (42,)
    finally:
        server.destroy()


def test_a_deep_folder_gets_its_socket_elsewhere(folder: Path) -> None:
    deep = folder / ("deep " * 12) / ("e" * 60)
    server = EmbeddedServer(deep, kind=server_kind(), settings={"fsync": "off"})
    try:
        server.start()
        with psycopg.connect(server.dsn("postgres")) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    finally:
        server.destroy()


def test_settings_apply_at_a_restart(folder: Path) -> None:
    server = EmbeddedServer(
        folder, kind=server_kind(), settings={"work_mem": "5MB", "fsync": "off"}
    )
    try:
        server.start()
        again = EmbeddedServer(
            folder,
            kind=server_kind(),
            settings={"work_mem": "6MB", "application_name": 'it\'s a "test" $HOME'},
        )
        again.restart()
        with psycopg.connect(again.dsn("postgres")) as connection:
            assert connection.execute("show work_mem").fetchone() == ("6MB",)
            assert connection.execute("show fsync").fetchone() == ("on",)
    finally:
        server.destroy()


def test_a_bad_setting_is_reported_with_the_log(folder: Path) -> None:
    server = EmbeddedServer(folder, kind=server_kind(), settings={"shared_buffers": "nonsense"})
    try:
        with pytest.raises(EmbeddedServerError, match="shared_buffers"):
            server.start()
    finally:
        server.destroy()


def test_it_says_when_no_server_runs(folder: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="no server runs"):
        EmbeddedServer(folder, kind=server_kind()).dsn()
    assert not folder.exists(), "asking changes nothing"
