"""What `import quantumflow_client` offers."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

import quantumflow_client
from quantumflow_client import Client, Flow, HandlerMissing


def test_all_is_sorted_and_there() -> None:
    names = quantumflow_client.__all__
    assert names == sorted(names)
    assert all(hasattr(quantumflow_client, name) for name in names)


def test_all_is_everything_public() -> None:
    import types

    public = {
        name
        for name, value in vars(quantumflow_client).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public - {"annotations"} == set(quantumflow_client.__all__)


def test_the_version_is_the_packages() -> None:
    try:
        version = importlib.metadata.version("quantumflow-client")
    except importlib.metadata.PackageNotFoundError:
        version = "0"
    assert quantumflow_client.__version__ == version


@pytest.mark.parametrize("thing", [Client, quantumflow_client.AsyncClient, Flow])
def test_every_public_method_has_a_docstring(thing: Any) -> None:
    bare = [
        name
        for name, value in vars(thing).items()
        if not name.startswith("_") and callable(value) and not value.__doc__
    ]
    assert bare == []


def test_constructing_opens_nothing() -> None:
    client = Client("host=/nowhere dbname=none")
    client.close()


def test_a_worker_without_handlers_says_so() -> None:
    client = Client("host=/nowhere")
    with pytest.raises(HandlerMissing, match="there is no handler"):
        client.poll_and_run()

    @client.command("a")
    def a() -> None: ...

    with pytest.raises(HandlerMissing, match="no handler is registered for 'b'"):
        client.poll_and_run(commands=["a", "b"])
