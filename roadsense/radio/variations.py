"""Radio environments around a measured one, in which one thing is another: nobody is heard, loss is this, latency is that."""

from __future__ import annotations

from typing import Final

from roadsense.radio.parameters import Latency, ObservationLimits, RadioParameters

_OUT_OF_RANGE: Final = 1.0


def deaf(parameters: RadioParameters) -> RadioParameters:
    """The same cars and sensors, but nobody is in range of anybody: the ego hears no one."""
    losses = tuple(_OUT_OF_RANGE for _ in parameters.packet_loss.loss_probabilities)
    return parameters.model_copy(update={"packet_loss": parameters.packet_loss.model_copy(update={"loss_probabilities": losses})})


def with_loss(parameters: RadioParameters, loss: float) -> RadioParameters:
    """The same radio losing this share of the packets on every link, at every distance within its range.

    Losses come in runs as long as in `parameters`, or as long as independent losses make them, 1 / (1 - loss), where that is longer: at a
    loss of 90 % every tenth packet arrives, so no run of losses can be as short as at 10 %. A loss of 1 is `deaf`.

    Raises:
        ConfigError: the loss lies outside [0, 1].
    """
    if loss == _OUT_OF_RANGE:
        return deaf(parameters)
    content = parameters.model_dump()
    nominal = content["packet_loss"]["loss_probabilities"]
    content["packet_loss"]["loss_probabilities"] = tuple(_OUT_OF_RANGE if share == _OUT_OF_RANGE else loss for share in nominal)
    if 0 <= loss < 1:  # anything else is refused by name
        content["burst_loss"]["mean_burst_packets"] = max(content["burst_loss"]["mean_burst_packets"], 1 / (1 - loss))
    return RadioParameters.parse(_fixed(content), f"a loss of {loss:g}")


def with_latency(parameters: RadioParameters, base_ms: float) -> RadioParameters:
    """The same radio with this mean latency on every link; its jitter stays, but at a latency of 0 there is none.

    Neighbours are remembered as long beyond the latency as in `parameters`: with the same limit on the age, a latency near it would be no
    radio at all, and the limit would be measured instead of the latency.

    Raises:
        ConfigError: the latency is negative or longer than a minute.
    """
    content = parameters.model_dump()
    longer_ms = max(0.0, base_ms - parameters.latency.base_ms)
    content["latency"] = Latency.parse(
        {"base_ms": base_ms, "jitter_ms": parameters.latency.jitter_ms if base_ms else 0.0}, f"a latency of {base_ms:g} ms"
    ).model_dump()
    limit = {"stale_after_ms": parameters.observation.stale_after_ms + longer_ms}
    content["observation"] = ObservationLimits.parse(limit, f"a latency of {base_ms:g} ms").model_dump()
    return RadioParameters.parse(_fixed(content), f"a latency of {base_ms:g} ms")


def _fixed(content: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """Without randomisation: such an environment is one point, and its file says what is driven."""
    return content | {"domain_randomization": content["domain_randomization"] | {"enabled": False}}
