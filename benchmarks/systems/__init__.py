"""Each system as SQL functions that one driver calls: the first tier, without any SDK."""

from .absurd import Absurd
from .base import Failure, State, System, WrongError
from .pgflow import Pgflow
from .quantumflow import Quantumflow
from .raw import Raw

__all__ = ["Absurd", "Failure", "Pgflow", "Quantumflow", "Raw", "State", "System", "WrongError"]
