"""The core needs none of the extras: it is imported, and works, with all of them blocked."""

from __future__ import annotations

import subprocess
import sys

_BLOCKED = ("jinja2", "markupsafe", "starlette", "uvicorn", "anyio", "opentelemetry", "orjson")

_PROGRAM = f"""
import sys
for name in {_BLOCKED!r}:
    sys.modules[name] = None  # importing it fails
import quantumflow_client, quantumflow_client.cli, quantumflow_client.worker
from quantumflow_client.cli import main
assert not [n for n in sys.modules if n.partition(".")[0] in {_BLOCKED!r} and sys.modules[n]]
for name in ("page", "web", "trace", "metrics", "status"):
    try:
        main([name, "--help"])
    except SystemExit as end:
        assert end.code == 0, name
try:
    import quantumflow_client.otel
except ImportError as error:
    assert "[otel]" in str(error)
else:
    raise AssertionError("it was imported")
"""


def test_the_core_imports_none_of_the_extras() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _PROGRAM], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
