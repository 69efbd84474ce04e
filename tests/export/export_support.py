"""What the export tests share: observations, a random policy, and running the golden program."""

import os
import subprocess
from pathlib import Path

import numpy as np

from roadsense.export.artifact import network_entries
from roadsense.export.cases import drawn_cases
from roadsense.features import EGO_SIZE, PEER_SIZE
from roadsense.model.action import LEAST_GATE_LOGIT
from roadsense.model.deep_sets import DeepSets
from roadsense.model.packing import pack
from roadsense.model.policy_file import save_policy
from roadsense.model.settings import ModelSettings
from roadsense.peer_set import PeerSet


def seen(count: int, seed: int) -> dict:
    """An observation as the network gets it: entries of order 1."""
    rng = np.random.default_rng(seed)
    return {"ego": rng.normal(size=EGO_SIZE).astype(np.float32), "peers": PeerSet(rng.normal(size=(count, PEER_SIZE)))}


def observations(count: int, seed: int = 0) -> list[dict]:
    return [seen(number % 9, seed + number) for number in range(count)]


def save_random_policy(path: Path, **settings) -> None:
    import torch

    torch.manual_seed(3)
    model = DeepSets(ModelSettings(**settings))
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(1.5)
        model.actor[-1].weight.mul_(300.0)
        model.actor[-1].bias.copy_(torch.tensor([0.0, 0.3, -0.2]))
        entries = [network_entries(case.ego, case.peers) for case in drawn_cases()]
        egos = torch.from_numpy(np.stack([ego for ego, _ in entries]))
        logits = model.action_parameters(egos, *pack([PeerSet(peers) for _, peers in entries]))[:, 0]
        model.actor[-1].bias[0] += LEAST_GATE_LOGIT - logits.median() + 1e-3  # none lies on the very edge
    save_policy(path, model, {"run_id": "test"})


def run_golden(command: list[str], directory: Path, tmp_path: Path, emulator: tuple[str, ...] = ()) -> str:
    """Compile and run check_golden.c of an export, elsewhere than in it; returns what it printed."""
    program = tmp_path / "check_golden"
    source = str(directory / "check_golden.c")
    built = subprocess.run([*command, "-O2", source, "-lm", "-o", str(program)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([*emulator, str(program)], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    assert ran.returncode == 0, ran.stdout
    return ran.stdout
