"""Train every variant with every seed and drive the fixed list with each; a step whose result lies there is not done again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from roadsense.ablation.settings import AblateSettings
from roadsense.ablation.variants import VARIANTS, RadioKind, radio_files
from roadsense.artifacts.files import write_json
from roadsense.artifacts.layout import RunLayout
from roadsense.config import SumoSettings, read_json_object
from roadsense.env.convoy_env import open_dataset
from roadsense.errors import RunDirectoryError, UsageError
from roadsense.evaluation.compare import compare
from roadsense.evaluation.evaluate import EnvironmentSpec, close_environments, evaluation_list, settings_json
from roadsense.evaluation.judgement import BASELINE
from roadsense.evaluation.metrics_file import LEARNED
from roadsense.evaluation.process_pool import process_map
from roadsense.experiment import run_experiment
from roadsense.radio.parameters import load_parameters
from roadsense.scenario.dataset import Dataset
from roadsense.training.settings import TrainSettings

Say = Callable[[str], None]
REFERENCES = (BASELINE, "ttc_radio", "ttc_leader", "ttc_perfect_radio")


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationLayout:
    """Where an ablation keeps what.

    ::

        plan.json                       what may not change between the starts of one ablation
        radio/{perfect,none}.json       radio parameter files of the variants that hear another radio
        runs/<variant>_seed_<n>/        a run directory, as of `roadsense train`
        evaluations/rounds_<r>/         the episodes of each run's policy, and of the reference policies
        ablation.{json,md,svg,png}      the result
    """

    root: Path
    rounds: int

    @property
    def plan(self) -> Path:
        """What may not change."""
        return self.root / "plan.json"

    @property
    def radio(self) -> Path:
        """Folder of parameter files."""
        return self.root / "radio"

    @property
    def references(self) -> Path:
        """The episodes of the reference policies."""
        return self.root / "evaluations" / f"rounds_{self.rounds}" / "references.parquet"

    def run(self, variant: str, seed: int) -> RunLayout:
        """The run directory of one training."""
        return RunLayout(self.root / "runs" / f"{variant}_seed_{seed}")

    def episodes(self, variant: str, seed: int) -> Path:
        """The evaluation of one training."""
        return self.references.with_name(f"{variant}_seed_{seed}.parquet")


class Ablation:
    """One ablation, fresh or gone on with.

    Args:
        settings: what is trained and driven.
        say: is told a line per step.

    Raises:
        RoadSenseError: the dataset or the radio file is refused, or the output directory holds another ablation.
    """

    def __init__(self, settings: AblateSettings, say: Say) -> None:
        self.settings, self.say = settings, say
        self.layout = AblationLayout(root=settings.output_dir.resolve(), rounds=settings.rounds)
        self.dataset_dir = settings.dataset_dir.resolve()
        self.dataset: Dataset = open_dataset(self.dataset_dir, None)
        self.episodes = evaluation_list(self.dataset, rounds=settings.rounds)
        _, self.measured_hash = load_parameters(settings.training.emulator_params)
        self._check_plan()
        self.radios: dict[RadioKind, Path | None] = radio_files(settings.training.emulator_params, self.layout.radio)

    def train(self, variant: str, seed: int) -> int:
        """Train one variant with one seed, from where it stopped if it did; the exit code, 0 or that of the signal that stopped it."""
        run = self.layout.run(variant, seed)
        if is_trained(run, self.settings.total_timesteps):
            self.say(f"{run.root.name}: trained already")
            return 0
        settings = self.train_settings(variant, seed)
        if run.checkpoints.is_dir() and any(run.checkpoints.glob("step_*")):
            recorded = TrainSettings.load_json(run.config, RunDirectoryError)
            settings = TrainSettings.parse(recorded.model_dump() | {"output_dir": None, "resume": run.root}, str(run.config))
        elif run.root.exists():
            shutil.rmtree(run.root)  # nothing of it was saved before it was interrupted, so there is nothing to go on from
        self.say(f"{run.root.name}: training")
        return run_experiment(settings, quiet=True).exit_code

    def evaluate(self, variant: str, seed: int) -> None:
        """Drive the list with the policy of one training, through the radio that it was trained with."""
        policy = {LEARNED: str(self.layout.run(variant, seed).model)}
        self._drive(policy, VARIANTS[variant].radio, self.layout.episodes(variant, seed), f"{variant}, seed {seed}")

    def evaluate_references(self) -> None:
        """Drive the list with the reference policies, which need no training, through the measured radio."""
        self._drive({name: name for name in REFERENCES}, "measured", self.layout.references, "reference policies")

    def train_settings(self, variant: str, seed: int) -> TrainSettings:
        """The settings of one training."""
        chosen, training = VARIANTS[variant], self.settings.training
        model = training.model.model_dump() | dict(chosen.model)
        own = {
            "dataset_dir": self.dataset_dir,
            "emulator_params": self.radios[chosen.radio],
            "seed": seed,
            "total_timesteps": self.settings.total_timesteps,
            "skip_eval": True,
            "output_dir": self.layout.run(variant, seed).root,
            "run_id": f"{variant}_seed_{seed}",
            "model": model,
        }
        return TrainSettings.parse(training.model_dump() | own, "ablation")

    def _drive(self, policies: dict[str, str], radio: RadioKind, table: Path, title: str) -> None:
        if table.exists():
            return
        self.say(f"{title}: driving {len(self.episodes)} episodes")
        spec = environment_spec(self.dataset_dir, self.radios[radio], self.settings.training, self.settings.training.sumo)
        drive(spec, policies, self.episodes, table, workers=1 if self.settings.training.local else None)

    def _check_plan(self) -> None:
        plan = {
            "dataset_hash": self.dataset.hash,
            "total_timesteps": self.settings.total_timesteps,
            "radio_hash": self.measured_hash,
            "training": self.settings.training.model_dump(mode="json"),
        }
        if not self.layout.plan.exists():
            if self.layout.root.exists() and any(self.layout.root.iterdir()):
                raise RunDirectoryError(f"{self.layout.root}: exists and holds no ablation; give another --output_dir")
            write_json(self.layout.plan, plan)
            return
        recorded = read_json_object(self.layout.plan, RunDirectoryError)
        for name, value in plan.items():
            if recorded.get(name) != value:
                raise UsageError(
                    f"{self.layout.root}: was begun with another {name.replace('_hash', '')} than now; only --seeds, --variants and "
                    "--rounds may change when an ablation goes on, so give the flags of its first start or another --output_dir"
                )


def is_trained(run: RunLayout, total_timesteps: int) -> bool:
    """Whether a run directory holds a policy that was trained for as long as it was to be."""
    if not run.model.exists() or not run.metrics.exists():
        return False
    training = read_json_object(run.metrics, RunDirectoryError).get("training") or {}
    return int(training.get("training_timesteps", 0)) >= total_timesteps


def environment_spec(dataset_dir: Path, emulator_params: Path | None, training: TrainSettings, sumo: SumoSettings) -> EnvironmentSpec:
    """The evaluation environment of a training's task, with this radio, in SUMO run like this."""
    return EnvironmentSpec(
        dataset_dir=dataset_dir.resolve(),
        sumo_cfg=None,
        emulator_params_path=emulator_params.resolve() if emulator_params is not None else None,
        ego_id=training.ego_id,
        sumo_json=settings_json(sumo),
        task_json=settings_json(training.task),
    )


def drive(
    spec: EnvironmentSpec, policies: dict[str, str], episodes: Sequence[tuple[str, int]], table: Path, *, workers: int | None
) -> None:
    """Drive the episodes with each policy into one table, in parallel processes (default: one per core)."""
    processes = min(workers or len(os.sched_getaffinity(0)), len(episodes))
    with process_map(processes, close_environments) as run_map:
        compare(spec, policies, list(episodes), run_map, table=table)
