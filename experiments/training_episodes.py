"""Drive policies on training episodes: to choose constants, rules and recipes without looking at what they are judged on.

Purpose
    The evaluation list is for the last word. This script drives candidates through identical training episodes (training scenarios, draws
    and domain randomisation, default task) and prints what came of each: a small grid of constants of the reference policies, or any
    policies. `docs/reference_policies.md` and `docs/decisions/0007` say by which criterion a row was then chosen.

How to run
    roadsense generate --output_dir dataset --train_count 110 --eval_count 55
    python experiments/training_episodes.py --dataset_dir dataset --family stopping
    python experiments/training_episodes.py --dataset_dir dataset --family corridor
    python experiments/training_episodes.py --dataset_dir dataset --family leak
    python experiments/training_episodes.py --dataset_dir dataset --family all          the reference policies as they stand
    python experiments/training_episodes.py --dataset_dir dataset --policies ttc_radio,runs/<run_id> --seed 1001
    roadsense generate --base_dir scenarios/base/rural_curve --output_dir rural --train_count 110 --eval_count 1
    python experiments/training_episodes.py --dataset_dir rural --family radar          what the radar's tracker is worth on bends

What to expect
    Two lines per candidate: hazard crashes, false braking, mean return, reaction and peak braking; then what each term of the reward takes
    from the return, and the difference to the first candidate on the same episodes with a 95 % interval. 150 episodes take half a minute
    on 2 cores. 600 episodes tell returns apart that differ by 0.04.
    The same seed and dataset give the same numbers, whatever the number of processes. Take a --seed other than that of the training.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.episodes import Assignment, EpisodePlan, TrainingEpisodes
from roadsense.env.record import EpisodeRecord
from roadsense.env.reward import TERM_NAMES
from roadsense.env.settings import RewardWeights
from roadsense.evaluation.policies import resolve_policy
from roadsense.evaluation.process_pool import process_map
from roadsense.evaluation.reference import REFERENCE_POLICIES, Policy
from roadsense.evaluation.reference.leak_rule import LeakRule
from roadsense.evaluation.reference.stopping_rule import StoppingRule
from roadsense.evaluation.reference.ttc_leader import TimeToCollisionLeader
from roadsense.evaluation.reference.ttc_radio import Corridor, TimeToCollisionRadio
from roadsense.evaluation.rollout import play_episode
from roadsense.scenario.dataset import Dataset

EPISODES_PER_CHUNK = 10
# A longer memory averages the noise away, so the same false braking takes a higher threshold.
LEAK_GRID = {5: (0.14, 0.17, 0.2), 10: (0.22, 0.26, 0.3), 20: (0.3, 0.34, 0.38)}


def stopping_candidates() -> Iterator[tuple[str, Policy]]:
    """`ttc_radio` over the constants of the stopping rule."""
    for margin_m, trigger_mps2, gain in itertools.product((4.0, 5.0), (1.0, 1.5), (1.0, 1.3)):
        rule = StoppingRule(margin_m=margin_m, trigger_mps2=trigger_mps2, gain=gain)
        yield f"margin {margin_m} m, trigger {trigger_mps2} m/s2, gain {gain}", TimeToCollisionRadio(rule=rule)


def corridor_candidates() -> Iterator[tuple[str, Policy]]:
    """`ttc_radio` over who counts as being ahead."""
    for half_width_m, slope, max_turn_rad, spacing_m in itertools.product((6.0, 9.0, 12.0), (0.1, 0.3), (1.2, 2.0), (3.0, 6.5)):
        corridor = Corridor(half_width_m=half_width_m, slope=slope, max_turn_rad=max_turn_rad, spacing_m=spacing_m)
        name = f"half width {half_width_m} m, slope {slope}, turn {max_turn_rad} rad, spacing {spacing_m} m"
        yield name, TimeToCollisionRadio(corridor=corridor)


def leak_candidates() -> Iterator[tuple[str, Policy]]:
    """`leak_rule` over memory and threshold, and `random`, whose false braking it has to match."""
    yield "random", REFERENCE_POLICIES["random"]()
    for memory_steps, thresholds_mps2 in LEAK_GRID.items():
        for flat_mps2 in thresholds_mps2:
            yield f"memory {memory_steps} steps, flat {flat_mps2} m/s2", LeakRule(memory_steps=memory_steps, flat_mps2=flat_mps2)


def reference_candidates() -> Iterator[tuple[str, Policy]]:
    """Every reference policy as it stands."""
    for name, policy in REFERENCE_POLICIES.items():
        yield name, policy()


def radar_candidates() -> Iterator[tuple[str, Policy]]:
    """`ttc_leader` over the lag of its tracker, beside the radio."""
    yield "ttc_radio", REFERENCE_POLICIES["ttc_radio"]()
    for tracker_lag_s in (0.0, 0.3, 0.5, 1.0, math.inf):
        yield f"ttc_leader, lag {tracker_lag_s} s", TimeToCollisionLeader(tracker_lag_s=tracker_lag_s)


FAMILIES: dict[str, Callable[[], Iterator[tuple[str, Policy]]]] = {
    "stopping": stopping_candidates,
    "corridor": corridor_candidates,
    "leak": leak_candidates,
    "radar": radar_candidates,
    "all": reference_candidates,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some training episodes for one candidate."""

    dataset_dir: Path
    radio: Path | None
    policy: Policy
    seed: int
    first: int
    last: int


def play_chunk(chunk: Chunk) -> list[EpisodeRecord]:
    """Play a chunk in this process, on the environment that the previous one left running."""
    env = environment(chunk.dataset_dir, chunk.radio)
    return [play_episode(env, chunk.policy, plan) for plan in plans(env.dataset, chunk.seed, chunk.last)[chunk.first :]]


def plans(dataset: Dataset, seed: int, count: int) -> list[EpisodePlan]:
    """The first episodes that a training with one environment and this seed would draw."""
    episodes = TrainingEpisodes(dataset, Assignment(run_seed=seed))
    return [episodes.next() for _ in range(count)]


OPEN: dict[tuple[Path, Path | None], ConvoyEnv] = {}


def environment(dataset_dir: Path, radio: Path | None) -> ConvoyEnv:
    """The environment of this process."""
    if (dataset_dir, radio) not in OPEN:
        OPEN[dataset_dir, radio] = ConvoyEnv(dataset_dir=dataset_dir, scenario_mode="train", emulator_params_path=radio)
    return OPEN[dataset_dir, radio]


def close_environments() -> None:
    """End the simulator of this process."""
    for env in OPEN.values():
        env.close()
    OPEN.clear()


def report(name: str, records: list[EpisodeRecord], baseline: list[EpisodeRecord]) -> None:
    """Print two lines of figures; `baseline` holds the first candidate's records of the same episodes."""
    hazards = [record for record in records if record.hazard_fired]
    crashes = [record for record in hazards if record.hazard_collision]
    pile_ups = sum(record.hazard_kind == "pile_up" for record in crashes), sum(record.hazard_kind == "pile_up" for record in hazards)
    false_braking = sum(record.false_braking_steps for record in records) / max(1, sum(record.steps_outside_hazard for record in records))
    mean_return = statistics.fmean(record.episode_return for record in records)
    reactions_s = [record.reaction_s for record in hazards if record.reaction_s is not None]
    peaks_mps2 = [record.peak_braking_mps2 for record in hazards if record.peak_braking_mps2 is not None]
    print(
        f"{name:50s} hazard crashes {len(crashes):3d} of {len(hazards)}, pile-ups {pile_ups[0]:2d} of {pile_ups[1]}, "
        f"false braking {false_braking:6.2%}, return {mean_return:5.2f}, reaction {_mean(reactions_s)} s, peak {_mean(peaks_mps2)} m/s2"
    )
    weights = RewardWeights()
    terms = [(name, getattr(weights, name) * statistics.fmean(record.reward_terms[name] for record in records)) for name in TERM_NAMES]
    differences = [record.episode_return - other.episode_return for record, other in zip(records, baseline, strict=True)]
    half_width = 1.96 * statistics.stdev(differences) / math.sqrt(len(differences)) if len(differences) > 1 else math.nan
    print(
        f"    {', '.join(f'{name} {amount:.3f}' for name, amount in terms)}; "
        f"return against the first {statistics.fmean(differences):+.3f} +- {half_width:.3f}",
        flush=True,
    )


def _mean(values: list[float]) -> str:
    return f"{statistics.fmean(values):.2f}" if values else "--"


def main() -> None:
    """Drive the candidates and print a line for each."""
    parser = argparse.ArgumentParser(description="drive policies on training episodes")
    parser.add_argument("--dataset_dir", type=Path, required=True, help="a generated dataset")
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--family", choices=sorted(FAMILIES), help="which constants")
    chosen.add_argument("--policies", help="reference policies, module:function, run directories or model files, separated by commas")
    parser.add_argument("--emulator_params_path", type=Path, help="radio parameter file instead of the packaged one")
    parser.add_argument("--episodes", type=int, default=150, help="training episodes per candidate")
    parser.add_argument("--seed", type=int, default=1, help="run seed of the training draws")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="processes; the numbers do not depend on it")
    flags = parser.parse_args()
    with process_map(flags.processes, close_environments) as run_map:
        named = ((name, resolve_policy(name)) for name in (flags.policies or "").split(","))
        candidates = FAMILIES[flags.family]() if flags.family else named
        baseline: list[EpisodeRecord] = []
        for name, policy in candidates:
            chunks = [
                Chunk(
                    dataset_dir=flags.dataset_dir.resolve(),
                    radio=flags.emulator_params_path,
                    policy=policy,
                    seed=flags.seed,
                    first=first,
                    last=min(first + EPISODES_PER_CHUNK, flags.episodes),
                )
                for first in range(0, flags.episodes, EPISODES_PER_CHUNK)
            ]
            records = [record for chunk in run_map(play_chunk, chunks) for record in chunk]
            baseline = baseline or records
            report(name, records, baseline)


if __name__ == "__main__":
    main()
