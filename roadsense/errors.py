"""Every error a user can meet, and the exit code the command line gives it.

::

    RoadSenseError                 2  bad input or usage
    ├── UsageError                 2  flags that contradict each other or make no sense
    ├── ConfigError                2  a configuration or parameter value that is refused, by name
    ├── DatasetError               2  a manifest or scenario that is missing, corrupt or edited
    ├── PolicyError                2  a policy that cannot be found, loaded or trusted
    ├── RunDirectoryError          2  a run directory that cannot be read, written or resumed
    ├── SumoError                  2  SUMO did not start, died, hung or answered for someone else
    │   ├── SumoStartError         2
    │   ├── SumoTimeoutError       2
    │   └── EgoNeverAppearedError  2
    ├── DefectsFoundError          1  a check, comparison or run that found defects
    ├── RestlessMachineError       1  a benchmark whose yardstick moved meanwhile
    ├── CloudError                 2  AWS, a cluster or an object store that refused or did not answer
    ├── BudgetError                3  a launch that could cost more than the month has left
    └── DependencyError            4  a dependency is missing or has the wrong version

A message is one line: what happened, what was seen, what to do. Where SUMO is involved its log tail follows on lines of its own.
"""

from __future__ import annotations


class RoadSenseError(Exception):
    """Base of all errors that are the user's to mend; `exit_code` is what the command line returns."""

    exit_code: int = 2


class UsageError(RoadSenseError):
    """Flags or arguments that contradict each other or make no sense."""


class ConfigError(RoadSenseError):
    """A configuration or parameter value that is refused; the message names the key."""


class DatasetError(RoadSenseError):
    """A manifest or scenario that is missing, corrupt or edited after generation."""


class PolicyError(RoadSenseError):
    """A policy that cannot be found, loaded or trusted."""


class RunDirectoryError(RoadSenseError):
    """A run directory that cannot be read, written or resumed."""


class SumoError(RoadSenseError):
    """SUMO died or answered with an error.

    Args:
        message: one line with what happened and what to do.
        log_tail: the last lines of SUMO's own log, shown below the message.
    """

    def __init__(self, message: str, log_tail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.log_tail = log_tail.strip()

    def __str__(self) -> str:
        if not self.log_tail:
            return self.message
        indented = "\n".join(f"    sumo | {line}" for line in self.log_tail.splitlines())
        return f"{self.message}\n{indented}"

    def __reduce__(self) -> tuple[type[SumoError], tuple[str, str]]:
        # Exceptions pickle through their args; without this the log tail is lost between processes.
        return type(self), (self.message, self.log_tail)


class SumoStartError(SumoError):
    """SUMO could not be started, or the simulation behind the port is not the one that was started."""


class SumoTimeoutError(SumoError):
    """SUMO did not answer within the watchdog's time."""


class EgoNeverAppearedError(SumoError):
    """The ego vehicle did not enter the road within the waiting time."""


class DefectsFoundError(RoadSenseError):
    """A check, comparison or run that found defects."""

    exit_code = 1


class RestlessMachineError(RoadSenseError):
    """The yardstick before and after a measurement differ too much, however often it was repeated."""

    exit_code = 1


class CloudError(RoadSenseError):
    """AWS, a cluster or an object store that refused or did not answer."""


class BudgetError(RoadSenseError):
    """A launch whose worst case is more than what is left of the month's limit, or whose worst case cannot be told."""

    exit_code = 3


class DependencyError(RoadSenseError):
    """A dependency that is missing or has the wrong version."""

    exit_code = 4
