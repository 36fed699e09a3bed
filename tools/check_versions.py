"""Checks that the version, which quantumflow.control owns, is the same wherever it is repeated."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

PROJECT = r'^version = "(.+)"'
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


if __name__ == "__main__":
    main()
