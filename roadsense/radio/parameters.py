"""The radio's parameter file: validated section by section, measured units in the file, SI through properties.

Every key is required except `sensor_noise.gps_correlation_s`, `sensor_noise.gps_common_share` and the section `relay`, which measured sets
lack. Probabilities and noise are per packet and per message; standard deviations are those of a normal distribution, for GPS along each
axis.
"""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import Field, Strict, ValidationInfo, field_validator

from roadsense.config import STEP_LENGTH_S, Settings
from roadsense.errors import ConfigError
from roadsense.radio.profiles import DEFAULT_PROFILE, packaged_profile

# Strict: a JSON string or boolean is a mistake in the file, never a number.
Number = Annotated[float, Strict()]


class Latency(Settings):
    """Time from measurement to reception: normal with mean `base_ms` and standard deviation `jitter_ms`, never below a positive floor."""

    base_ms: Number = Field(ge=0, le=60_000)
    jitter_ms: Number = Field(ge=0, le=60_000)

    @field_validator("jitter_ms")
    @classmethod
    def _check_jitter(cls, jitter_ms: float, info: ValidationInfo) -> float:
        if jitter_ms > 0 and info.data.get("base_ms") == 0:
            raise ValueError("jitter around a base_ms of 0 would deliver before sending; set both to 0 or give base_ms")
        return jitter_ms

    @property
    def base_s(self) -> float:
        """Mean latency in seconds."""
        return self.base_ms * 1e-3

    @property
    def jitter_s(self) -> float:
        """Standard deviation of the latency in seconds."""
        return self.jitter_ms * 1e-3


class PacketLoss(Settings):
    """Share of packets lost by distance: entry i holds below edge i, the last entry beyond the last edge.

    A loss of exactly 1 means out of range.
    """

    band_edges_m: tuple[Annotated[Number, Field(gt=0, le=1e6)], ...]
    loss_probabilities: tuple[Annotated[Number, Field(ge=0, le=1)], ...]

    @field_validator("band_edges_m")
    @classmethod
    def _check_edges(cls, edges_m: tuple[float, ...]) -> tuple[float, ...]:
        for near, far in pairwise(edges_m):
            if far <= near:
                raise ValueError(f"distances must increase, but {far:g} follows {near:g}")
        return edges_m

    @field_validator("loss_probabilities")
    @classmethod
    def _check_probabilities(cls, probabilities: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        for near, far in pairwise(probabilities):
            if far < near:
                raise ValueError(f"loss must not fall with distance, but {far:g} follows {near:g}")
        edges_m = info.data.get("band_edges_m")
        if edges_m is not None and len(probabilities) != len(edges_m) + 1:
            raise ValueError(f"{len(edges_m)} band_edges_m make {len(edges_m) + 1} bands, but there are {len(probabilities)} values")
        return probabilities


class BurstLoss(Settings):
    """Losses come in runs: mean number of packets lost in a row (two-state Gilbert-Elliott process per link)."""

    mean_burst_packets: Number = Field(ge=1, le=1000)


class Relay(Settings):
    """How far a message travels: cars forward what they have heard, one link per period."""

    max_hops: Annotated[int, Strict()] = Field(3, ge=1, le=10, description="links from the source to the ego at most; 1: no relaying")


class SensorNoise(Settings):
    """Standard deviations of what a car measures of itself, drawn once per message at the sender."""

    gps_m: Number = Field(ge=0, le=1000, description="along each axis")
    gps_correlation_s: Number = Field(0.0, ge=0, le=100_000, description="time in which the GPS error decorrelates to 1/e; 0: white")
    gps_common_share: Number = Field(0.0, ge=0, le=1, description="part of the GPS error's variance that all cars of an episode share")
    speed_mps: Number = Field(ge=0, le=1000)
    accel_mps2: Number = Field(ge=0, le=1000)
    heading_deg: Number = Field(ge=0, le=360)

    @property
    def heading_rad(self) -> float:
        """Standard deviation of the heading in radians."""
        return math.radians(self.heading_deg)


class ObservationLimits(Settings):
    """How long a neighbour is remembered."""

    stale_after_ms: Number = Field(
        ge=STEP_LENGTH_S * 1e3, le=60_000, description="age at which a neighbour is dropped; one period at least"
    )

    @property
    def stale_after_s(self) -> float:
        """The same in seconds."""
        return self.stale_after_ms * 1e-3


class DomainRandomization(Settings):
    """Factors on the nominal values, drawn per training episode, uniform in the logarithm."""

    enabled: Annotated[bool, Strict()]
    min_factor: Number = Field(gt=0, le=100)
    max_factor: Number = Field(gt=0, le=100)

    @field_validator("max_factor")
    @classmethod
    def _check_range(cls, max_factor: float, info: ValidationInfo) -> float:
        min_factor = info.data.get("min_factor")
        if min_factor is not None and max_factor < min_factor:
            raise ValueError(f"it lies below min_factor {min_factor:g}; swap them")
        return max_factor


class RadioParameters(Settings):
    """One radio environment; sections as in the JSON file."""

    latency: Latency
    packet_loss: PacketLoss
    burst_loss: BurstLoss
    relay: Relay = Relay(max_hops=3)
    sensor_noise: SensorNoise
    observation: ObservationLimits
    domain_randomization: DomainRandomization

    @field_validator("burst_loss")
    @classmethod
    def _check_feasible(cls, burst_loss: BurstLoss, info: ValidationInfo) -> BurstLoss:
        packet_loss = info.data.get("packet_loss")
        if packet_loss is not None:
            lossy = max((loss for loss in packet_loss.loss_probabilities if loss < 1), default=0.0)
            shortest_packets = lossy / (1 - lossy)
            if burst_loss.mean_burst_packets < shortest_packets * (1 - 1e-9):
                raise ValueError(
                    f"with a loss of {lossy:g} (packet_loss.loss_probabilities) bursts last {shortest_packets:.3g} packets at least; "
                    "raise mean_burst_packets"
                )
        return burst_loss

    @field_validator("observation")
    @classmethod
    def _check_audible(cls, observation: ObservationLimits, info: ValidationInfo) -> ObservationLimits:
        latency = info.data.get("latency")
        if latency is not None and latency.base_ms >= observation.stale_after_ms:
            raise ValueError(f"stale_after_ms must exceed latency.base_ms ({latency.base_ms:g}), or nothing is ever heard")
        return observation

    @field_validator("domain_randomization")
    @classmethod
    def _check_audible_when_randomized(cls, randomization: DomainRandomization, info: ValidationInfo) -> DomainRandomization:
        latency, observation = info.data.get("latency"), info.data.get("observation")
        if randomization.enabled and latency is not None and observation is not None:
            largest_ms = latency.base_ms * randomization.max_factor
            if largest_ms >= observation.stale_after_ms:
                raise ValueError(
                    f"max_factor times latency.base_ms is {largest_ms:g} ms, not below observation.stale_after_ms; lower max_factor"
                )
        return randomization

    @classmethod
    def perfect(cls) -> Self:
        """No loss, no noise, no latency and no need of relays: what is sent is heard exactly, in the same step."""
        return cls(
            latency=Latency(base_ms=0.0, jitter_ms=0.0),
            packet_loss=PacketLoss(band_edges_m=(), loss_probabilities=(0.0,)),
            burst_loss=BurstLoss(mean_burst_packets=1.0),
            relay=Relay(max_hops=1),
            sensor_noise=SensorNoise(gps_m=0.0, gps_correlation_s=0.0, speed_mps=0.0, accel_mps2=0.0, heading_deg=0.0),
            observation=ObservationLimits(stale_after_ms=500.0),
            domain_randomization=DomainRandomization(enabled=False, min_factor=1.0, max_factor=1.0),
        )

    def randomized_by(self, factor: float) -> Self:
        """The same nominal values, drawn in training between 1/`factor` and `factor` times of them; 1 draws nothing.

        Raises:
            ConfigError: with this factor nothing would be heard.
        """
        randomization = {"enabled": factor > 1, "min_factor": 1 / factor, "max_factor": factor}
        return type(self).parse(self.model_dump() | {"domain_randomization": randomization}, f"radio randomisation by {factor:g}")

    def randomized(self, rng: np.random.Generator) -> Self:
        """Another radio environment around this one, for a training episode; itself where randomisation is off.

        Each quantity has a factor of its own, but all loss bands share one, so loss still never falls with distance. Values are clipped
        to what is valid: bursts last one packet at least, loss stays where such bursts can produce it, out of range stays out of range.
        The result is fixed: randomising it again returns it unchanged.
        """
        if not self.domain_randomization.enabled:
            return self
        low, high = math.log(self.domain_randomization.min_factor), math.log(self.domain_randomization.max_factor)
        base, jitter, loss, burst, gps, correlation, speed, accel, heading = np.exp(rng.uniform(low, high, size=9)).tolist()
        noise = self.sensor_noise
        burst_packets = min(max(1.0, self.burst_loss.mean_burst_packets * burst), 1000.0)
        most_loss = burst_packets / (1 + burst_packets)
        losses = tuple(1.0 if nominal == 1 else min(nominal * loss, most_loss) for nominal in self.packet_loss.loss_probabilities)
        return type(self)(
            latency=Latency(base_ms=self.latency.base_ms * base, jitter_ms=min(self.latency.jitter_ms * jitter, 60_000.0)),
            packet_loss=PacketLoss(band_edges_m=self.packet_loss.band_edges_m, loss_probabilities=losses),
            burst_loss=BurstLoss(mean_burst_packets=burst_packets),
            relay=self.relay,
            sensor_noise=SensorNoise(
                gps_m=min(noise.gps_m * gps, 1000.0),
                gps_correlation_s=min(noise.gps_correlation_s * correlation, 100_000.0),
                gps_common_share=noise.gps_common_share,
                speed_mps=min(noise.speed_mps * speed, 1000.0),
                accel_mps2=min(noise.accel_mps2 * accel, 1000.0),
                heading_deg=min(noise.heading_deg * heading, 360.0),
            ),
            observation=self.observation,
            domain_randomization=self.domain_randomization.model_copy(update={"enabled": False}),
        )


def load_parameters(path: Path | None) -> tuple[RadioParameters, str]:
    """The parameters of a JSON file and the SHA-256 of its bytes (hexadecimal); `None` means the packaged convoy profile.

    Raises `ConfigError` with one line that names the key when the file is missing, not JSON or refused.
    """
    file = packaged_profile(DEFAULT_PROFILE) if path is None else path
    parameters = RadioParameters.load_json(file)
    try:
        return parameters, hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as problem:
        raise ConfigError(f"{file}: cannot be read ({problem}); check that it is a readable text file") from None
