"""The peers as SQL functions that one driver calls: the first tier, without any SDK."""

from .absurd import Absurd
from .pgflow import Pgflow
from .raw import Raw

__all__ = ["Absurd", "Pgflow", "Raw"]
