"""Checks that versions are the same wherever they are repeated.

quantumflow's is owned by quantumflow.control; the Python package pgmq's by the client's _pgmq.py.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

PROJECT = r'^version = "(.+)"'
PGMQ = re.compile(r"\bpgmq==[\w.]*\w")
REPOSITORY = Path(__file__).parents[1]


def _match(pattern: str, file: str) -> str:
    found = re.search(pattern, (REPOSITORY / file).read_text("utf-8"), re.MULTILINE)
    return found[1] if found else "missing"


def main() -> None:
    """Compare; name every place that differs."""
    version = _match(r"^default_version = '(.+)'", "extension/quantumflow.control")
    meta = json.loads((REPOSITORY / "extension/META.json").read_text("utf-8"))
    provided = meta["provides"]["quantumflow"]
    repeated = {
        "extension/META.json, version": meta["version"],
        "extension/META.json, provides.quantumflow.version": provided["version"],
        "extension/META.json, provides.quantumflow.file": provided["file"]
        .removeprefix("quantumflow--")
        .removesuffix(".sql"),
        "python-client/pyproject.toml": _match(PROJECT, "python-client/pyproject.toml"),
    }
    wrong = [f"{place}: {found}" for place, found in repeated.items() if found != version]
    if wrong:
        sys.exit(f"extension/quantumflow.control says {version}, but\n  " + "\n  ".join(wrong))
    owner = "python-client/src/quantumflow_client/_pgmq.py"
    (pgmq,) = set(PGMQ.findall((REPOSITORY / owner).read_text("utf-8")))
    places = ["README.md", "docs/operators.md", "python-client/pyproject.toml"]
    wrong = [
        f"{place}: {found}"
        for place in places
        for found in PGMQ.findall((REPOSITORY / place).read_text("utf-8"))
        if found != pgmq
    ]
    if wrong:
        sys.exit(f"{owner} says {pgmq}, but\n  " + "\n  ".join(wrong))


if __name__ == "__main__":
    main()
