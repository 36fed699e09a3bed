"""The package's log, which never raises into the work that it tells of.

Filters, handlers and record factories are other people's code. What they raise, whatever it is,
concerns the record alone: its text then goes to the standard error.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "quantumflow_client"

_CALLER = 3
"""How many frames above Logger.log the caller is, for the record's file and line."""


class Log:
    """As logging.Logger, as far as it is used here."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, message: str, *args: object, **options: Any) -> None:
        """Tell what happened."""
        self._log(logging.INFO, message, args, options)

    def warning(self, message: str, *args: object, **options: Any) -> None:
        """Tell what somebody may want to look at."""
        self._log(logging.WARNING, message, args, options)

    def error(self, message: str, *args: object, **options: Any) -> None:
        """Tell what somebody must look at."""
        self._log(logging.ERROR, message, args, options)

    def log(self, level: int, message: str, *args: object, **options: Any) -> None:
        """Tell something of a level."""
        self._log(level, message, args, options)

    def _log(
        self, level: int, message: str, args: tuple[object, ...], options: dict[str, Any]
    ) -> None:
        try:
            extra = acceptable(options.get("extra"))
            options |= {"extra": extra, "stacklevel": _CALLER}
            self._logger.log(level, message, *args, **options)
        except BaseException as error:
            with suppress(BaseException):
                sys.stderr.write(f"{message % args} (logging raised {type(error).__name__})\n")


def acceptable(extra: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """What a record takes of what is said beside it: not what a factory has set there already."""
    if extra is None or logging.getLogRecordFactory() is logging.LogRecord:
        return extra
    taken = vars(logging.makeLogRecord({}))
    return {name: value for name, value in extra.items() if name not in taken}


logger = Log(NAME)
