"""What a forked child does with what it has of its parent's: it begins anew.

Connections, workers and threads are the parent's, and whoever held a lock at that moment is not
there to let it go.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    """Something that a fork has a copy of."""

    def _forget(self) -> None:
        """Be as if it had never been used; nobody else uses it yet."""


_every: WeakSet[Forked] = WeakSet()


def begin_anew_in_forks(thing: Forked) -> None:
    """Let a thing forget in a fork what it was used for, as long as it is there."""
    _every.add(thing)


def _forget_all() -> None:
    for thing in list(_every):
        thing._forget()  # noqa: SLF001 - it is for this alone


os.register_at_fork(after_in_child=_forget_all)
