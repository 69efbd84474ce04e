"""The flags of a tiny ablation."""

SMALL = (
    "training.local=true", "training.num_envs_per_env_runner=2", "training.n_steps=200", "training.minibatch_size=100", "training.num_epochs=1",
    "training.checkpoint_every=200",
)  # fmt: skip


def flags(dataset_dir, root) -> list[str]:
    words = ["ablate", "--dataset_dir", str(dataset_dir), "--output_dir", str(root), "--seeds", "1", "--variants", "measured,no_age"]
    words += ["--total_timesteps", "800", "--rounds", "1"]
    return words + [word for setting in SMALL for word in ("--set", setting)]
