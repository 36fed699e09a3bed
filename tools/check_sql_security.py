"""Runs pgspot, a linter for the security of extension scripts, on the built script: no findings."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from quantumflow_client import _extension

REPOSITORY = Path(__file__).parents[1]

# Bodies in standard SQL are bound when they are made, whatever the path is later; pgspot cannot
# read them.
_BOUND = re.compile(
    r"^create function [^;]*?\nlanguage sql\n\w+\n(return [^;]*|begin atomic\n(  .*\n)+end);\n",
    re.MULTILINE,
)


def main() -> int:
    """Check the script, and say where a finding's file is."""
    script = REPOSITORY / "extension" / f"quantumflow--{_extension.version()}.sql"
    pgspot = Path(sys.executable).with_name("pgspot")
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as readable:
        readable.write(_BOUND.sub("", script.read_text()))
        readable.flush()
        done = subprocess.run([pgspot, readable.name], check=False, capture_output=True, text=True)
    summary = done.stdout.strip().splitlines()[-1:] or ["no output"]
    if done.returncode != 0 or not summary[0].startswith("Errors: 0 Warnings: 0"):
        print(done.stdout + done.stderr)
        print(f"pgspot has findings in {script.name}, or could not read it to its end.")
        print("It cannot read 'return (select ...)', nor 'return next <an expression>':")
        print("assign to a variable first, or use 'return query select ...'.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
