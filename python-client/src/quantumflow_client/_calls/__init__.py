"""The calls of a client, by rooms: each is one public function of schema quantumflow, or a few."""

from .definitions import DefinitionCalls
from .goals import GoalCalls
from .installation import InstallationCalls
from .learning import LearningCalls
from .limits import LimitCalls
from .looking import LookingCalls
from .schedules import ScheduleCalls
from .signals import SignalCalls
from .steering import SteeringCalls


class ClientCalls(
    DefinitionCalls,
    GoalCalls,
    InstallationCalls,
    LearningCalls,
    LimitCalls,
    LookingCalls,
    ScheduleCalls,
    SignalCalls,
    SteeringCalls,
):
    """All that a client asks of the database."""
