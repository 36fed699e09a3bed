# Written by tools/async_calls.py from _calls/__init__.py: change that, then `make calls`.
"""The calls of a client, by rooms: each is one public function of schema quantumflow, or a few."""

from .definitions import AsyncDefinitionCalls
from .goals import AsyncGoalCalls
from .installation import AsyncInstallationCalls
from .learning import AsyncLearningCalls
from .limits import AsyncLimitCalls
from .looking import AsyncLookingCalls
from .schedules import AsyncScheduleCalls
from .signals import AsyncSignalCalls
from .steering import AsyncSteeringCalls


class AsyncClientCalls(
    AsyncDefinitionCalls,
    AsyncGoalCalls,
    AsyncInstallationCalls,
    AsyncLearningCalls,
    AsyncLimitCalls,
    AsyncLookingCalls,
    AsyncScheduleCalls,
    AsyncSignalCalls,
    AsyncSteeringCalls,
):
    """All that a client asks of the database."""
