"""The module that the guide's example of a handler in a process imports."""

from __future__ import annotations


def resize(item: str) -> str:
    """A smaller one."""
    return item[:1]
