"""Where everything lies in a run directory: one truth for writers and readers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


def recorded_path(named: str, directory: Path) -> Path:
    """A path as it was recorded in `directory`: as it stands, else below the folders that `directory` lies in.

    What was recorded may be relative to where the command ran, and the whole tree may have been moved. Where nothing is found, the path as
    it stands, for the error to name.
    """
    path = Path(named)
    if path.exists() or path.is_absolute():
        return path
    return next((parent / path for parent in directory.resolve().parents if (parent / path).exists()), path)


@dataclass(frozen=True, slots=True)
class RunLayout:
    """The files of one run.

    ::

        model_final.zip      the policy; loads without Ray and without executing code
        metrics.json         configuration, training and evaluation figures
        manifest.json        copy of the dataset's manifest
        config.json          the complete configuration of the run
        provenance.json      commit, versions, machine, command, hashes
        progress.csv         one row per training iteration
        training.log         what was shown while it ran
        episodes.parquet     every finished episode, training and evaluation, with its actions
        report.html          what came of it, to look at, and episode.gif, an animation (`roadsense pipeline --report`)
        checkpoints/         step_000010000/ ...
        tensorboard/         event files
    """

    root: Path

    @property
    def model(self) -> Path:
        """The packaged policy."""
        return self.root / "model_final.zip"

    @property
    def metrics(self) -> Path:
        """Figures of training and evaluation."""
        return self.root / "metrics.json"

    @property
    def manifest(self) -> Path:
        """Copy of the dataset's manifest."""
        return self.root / "manifest.json"

    @property
    def config(self) -> Path:
        """The complete configuration."""
        return self.root / "config.json"

    @property
    def provenance(self) -> Path:
        """Where the run comes from."""
        return self.root / "provenance.json"

    @property
    def progress(self) -> Path:
        """One row per iteration."""
        return self.root / "progress.csv"

    @property
    def log(self) -> Path:
        """What was shown while the run went on."""
        return self.root / "training.log"

    @property
    def episodes(self) -> Path:
        """Finished episodes of training and evaluation."""
        return self.root / "episodes.parquet"

    @property
    def report(self) -> Path:
        """The page of the run."""
        return self.root / "report.html"

    @property
    def animation(self) -> Path:
        """One of its episodes, moving."""
        return self.root / "episode.gif"

    @property
    def checkpoints(self) -> Path:
        """Directory of checkpoints."""
        return self.root / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """Directory of TensorBoard event files."""
        return self.root / "tensorboard"

    @property
    def training_episodes(self) -> Path:
        """Directory of the parts that training writes while it runs; joined into `episodes` at the end."""
        return self.root / "training_episodes"

    @property
    def generations(self) -> Path:
        """Counter of the generations handed out so far."""
        return self.root / "generations.json"
