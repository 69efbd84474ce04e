"""The main job: PPO with a Deep Sets policy on the convoy task, in parallel over SUMO.

Purpose
    Generate a dataset (or take one), train, evaluate beside the reference policies, leave a run directory.

How to run
    python experiments/ppo_convoy.py                                    on this machine
    python experiments/ppo_convoy.py --local                            everything in one process, for a debugger
    ray submit cluster.yaml experiments/ppo_convoy.py                   on a cluster, unchanged
    python experiments/ppo_convoy.py --total_timesteps 1000000 --seed 7
    python experiments/ppo_convoy.py --report                           and a page and an animation of the run at its end
    Every flag of `roadsense pipeline` works, and those of the recipe (docs/decisions/0007) are set already; a running Ray cluster is joined
    if there is one, else a local one is started.

What to expect
    On 2 cores 500,000 steps take about three minutes; fewer may not learn the task. The table at the end shows the learned policy
    beside never_brake, always_brake, a time-to-collision rule and other reference policies, on identical episodes.
"""

import sys

from roadsense.cli import main

if __name__ == "__main__":
    sys.exit(main(["pipeline", "--recipe", *sys.argv[1:]]))
