"""Scenarios in sumo-gui, one after the other, driven by SUMO's own drivers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from roadsense.config import SumoSettings
from roadsense.errors import UsageError
from roadsense.scenario.dataset import Dataset, Scenario
from roadsense.seeding import named_stream
from roadsense.sumo.session import SumoSession


def some_scenarios(dataset: Dataset, count: int, seed: int) -> tuple[Scenario, ...]:
    """`count` different scenarios of both splits; the same for the same seed.

    Raises:
        UsageError: the dataset has fewer.
    """
    every = (*dataset.train, *dataset.eval)
    if not 1 <= count <= len(every):
        raise UsageError(f"{count} scenarios cannot be shown; {dataset.directory} has {len(every)}")
    chosen = named_stream(seed, "inspect").choice(len(every), size=count, replace=False)
    return tuple(every[place] for place in chosen)


def show(
    scenarios: Sequence[Scenario], duration_s: float, pace: Callable[[], None], sumo: SumoSettings, say: Callable[[str], None]
) -> None:
    """Drive each scenario for a while, or to the end of the ego's route; `pace` is called before every step.

    Raises:
        SumoError: there is no display, or the window was closed.
    """
    windowed = sumo.model_copy(update={"gui": True})
    for scenario in scenarios:
        say(scenario.scenario_id)
        with SumoSession(windowed, ego_id=scenario.ego_id) as session:
            state = session.reset(scenario.options(), seed=scenario.seed)
            end_s = state.time_s + duration_s
            while state.time_s < end_s and scenario.ego_id not in state.arrived_ids:
                pace()
                state = session.step()
