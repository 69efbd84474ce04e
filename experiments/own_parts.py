r"""Own parts: a hazard, a reward term and a policy from outside the package, named as module:function. Copy and change.

How to run (from the repository's root, with a dataset D)
    roadsense evaluate --dataset_dir D --policy experiments.own_parts:keep_distance --compare never_brake \
        --set task.hazard.source=experiments.own_parts:two_taps --set 'task.reward.extra={"experiments.own_parts:tailgating": 0.1}'
    `roadsense train` and `pipeline` take the same --set; on a cluster the module must be importable on every node.

What to expect
    A hazard column named two_taps in the breakdown, a reward term `tailgating`, and a policy that crashes less than never_brake.
"""

import math

from roadsense.env.hazard import Hazard
from roadsense.features import EGO_COLUMN, EGO_SCALES, PEER_COLUMN, PEER_SCALES


class TwoTaps:
    """The car ahead brakes, lets go for a second, and then brakes to a standstill."""

    def __init__(self, hazard):
        self.hazard = hazard

    def commands(self, time_s, traffic):
        """The car's next speed, in every step from the onset on."""
        since_s, speed_mps = time_s - self.hazard.onset_s, traffic.speed_mps(self.hazard.vehicle_id)
        decel_mps2 = 0.0 if 1.0 <= since_s < 2.0 else self.hazard.decel_mps2
        return {} if speed_mps is None else {self.hazard.vehicle_id: max(0.0, speed_mps - 0.1 * decel_mps2)}


def two_taps(cars_ahead, settings, rng):
    """A hazard of the car directly ahead."""
    drawn = {"onset_s": settings.onset_s.draw(rng), "decel_mps2": settings.decel_mps2.draw(rng)}
    return TwoTaps(Hazard(kind="two_taps", rank=1, vehicle_id=cars_ahead[0], end_speed_fraction=0.0, resolves_s=math.inf, **drawn))


def tailgating(step):
    """Minus the share of a two-second headway that is missing, per second."""
    return 0.0 if step.now is None else -0.1 * max(0.0, 1.0 - step.now.gap_m / (2.0 * max(step.now.speed_mps, 1.0)))


def keep_distance(observation):
    """Half braking while any peer ahead brakes at 3 m/s2 or more."""
    peers = observation["peers"].values * PEER_SCALES
    braking = peers[(peers[:, PEER_COLUMN["forward_m"]] > 0) & (peers[:, PEER_COLUMN["accel_mps2"]] < -3.0)]
    speed_mps = observation["ego"][EGO_COLUMN["speed_mps"]] * EGO_SCALES[EGO_COLUMN["speed_mps"]]
    return 0.5 if len(braking) and speed_mps > 0.5 else 0.0
