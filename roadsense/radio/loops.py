"""The radio's loops over cars and links, compiled; the classes that they belong to stand around them.

They share a file because one of them, `exchange`, is made of nearly all others.

Shapes: N vehicles in the simulator's order; n cars with a radio, the ego first, of which the first p are on the road (`roster.py`);
m receivers, which are the p, or the ego alone where nobody forwards.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.compiled import compiled
from roadsense.features import EGO_COLUMN, PEER_COLUMN
from roadsense.radio.angles import wrapped
from roadsense.radio.draws import INCREMENT, KeyArray, mix, uniforms
from roadsense.radio.message import ACCEL_MPS2, HEADING_RAD, MEASUREMENT_ROWS, SPEED_MPS, X_M, Y_M
from roadsense.state import FloatArray

IntArray = NDArray[np.intp]
PeriodArray = NDArray[np.int32]  # periods count from 1; 0 means never
FeatureArray = NDArray[np.float32]

GPS_ROWS = Y_M + 1  # east and north, the first two of a measurement
# A link's state, and the row of `bands` that holds the probability of being bad next; row 0 holds the bands' squared outer edges.
GOOD, BAD, NEW = range(3)
# What the neighbour table keeps of a measurement: its rows, then when it was measured.
MEASURED_S = MEASUREMENT_ROWS
TABLE_COLUMNS = MEASUREMENT_ROWS + 1
# Step times are sums of 0.1 s in floating point: an arrival that falls on a step must not miss it by a rounding error.
TIME_TOLERANCE_S = 1e-9
_SHORTEST_LATENCY_S = 1e-4  # where the normal distribution's tail is cut: no frame is on the air for less

_EGO_SPEED, _EGO_ACCEL, _EGO_ACTION = EGO_COLUMN["speed_mps"], EGO_COLUMN["accel_mps2"], EGO_COLUMN["previous_action"]
_FORWARD, _LEFT, _SPEED = PEER_COLUMN["forward_m"], PEER_COLUMN["left_m"], PEER_COLUMN["relative_speed_mps"]
_HEADING, _ACCEL, _AGE = PEER_COLUMN["relative_heading_rad"], PEER_COLUMN["accel_mps2"], PEER_COLUMN["age_s"]


_mix, _uniform = compiled(mix), compiled(uniforms)  # the same functions, for single numbers


@compiled
def measure(
    x_m: FloatArray,
    y_m: FloatArray,
    speed_mps: FloatArray,
    accel_mps2: FloatArray,
    heading_rad: FloatArray,
    normals: FloatArray,
    step: int,
    std: FloatArray,
    memory: float,
    gps_weights: tuple[float, float],
    gps_error: FloatArray,
    measured: FloatArray,
) -> None:
    """Truth (N,) of each quantity plus errors times standard deviations (5,) into `measured` (5, N).

    The errors come from `normals[step]` (5, N + 1), whose last column is of the GPS error that all cars share; `gps_weights` are those of a
    car's own GPS error and of the shared one. GPS errors (2, N + 1), which are brought up to date, are a first-order autoregressive process
    of unit variance, `memory` times the last error plus sqrt(1 - memory^2) times white noise. With memory = exp(-dt / correlation time) it
    is the exact discretisation of an Ornstein-Uhlenbeck process; a car that was not there a step ago, whose last error is NaN, starts in
    its stationary distribution. A speedometer shows no negative speed, so speed is cut at 0.
    """
    news = math.sqrt(1.0 - memory * memory)
    own, common = gps_weights
    shared = len(x_m)
    for row in range(GPS_ROWS):
        for car in range(shared + 1):
            white, last = normals[step, row, car], gps_error[row, car]
            gps_error[row, car] = white if np.isnan(last) else memory * last + news * white
    for car in range(shared):
        measured[X_M, car] = x_m[car] + std[X_M] * (own * gps_error[X_M, car] + common * gps_error[X_M, shared])
        measured[Y_M, car] = y_m[car] + std[Y_M] * (own * gps_error[Y_M, car] + common * gps_error[Y_M, shared])
        measured[SPEED_MPS, car] = max(speed_mps[car] + std[SPEED_MPS] * normals[step, SPEED_MPS, car], 0.0)
        measured[ACCEL_MPS2, car] = accel_mps2[car] + std[ACCEL_MPS2] * normals[step, ACCEL_MPS2, car]
        measured[HEADING_RAD, car] = wrapped(heading_rad[car] + std[HEADING_RAD] * normals[step, HEADING_RAD, car])


@compiled
def latencies_s(normals: FloatArray, base_s: float, jitter_s: float) -> FloatArray:
    """Latency of each packet from standard normal numbers, cut so that it stays positive unless `base_s` is 0."""
    return np.maximum(base_s + jitter_s * normals, min(base_s, _SHORTEST_LATENCY_S))


@compiled
def transmit(
    state: IntArray,
    bands: FloatArray,
    keys: KeyArray,
    period: int,
    normals: FloatArray,
    x_m: FloatArray,
    y_m: FloatArray,
    now_s: float,
    base_s: float,
    jitter_s: float,
    arrival_s: FloatArray,
) -> None:
    """Advance the state (p, m) of every link by one packet: when it arrives into `arrival_s` (at least p, m), infinite where it is lost.

    Every link draws the uniform number of this period from its key (p, m). `normals` (p, m) set the latencies apart; without any (0, 0) all
    packets take `base_s`.
    """
    senders, receivers = state.shape
    last_band = bands.shape[1] - 1
    received_s, offset = now_s + base_s, np.uint64(period) * INCREMENT
    for sender in range(senders):
        for receiver in range(receivers):
            east_m, north_m = x_m[sender] - x_m[receiver], y_m[sender] - y_m[receiver]
            squared_m2 = east_m * east_m + north_m * north_m
            band = 0
            while band < last_band and bands[0, band] <= squared_m2:
                band += 1
            lost = _uniform(_mix(keys[sender, receiver] + offset)) < bands[1 + state[sender, receiver], band]
            state[sender, receiver] = BAD if lost else GOOD
            arrival_s[sender, receiver] = np.inf if lost else received_s
    if normals.size:
        latency_s = latencies_s(normals, base_s, jitter_s)
        for sender in range(senders):
            for receiver in range(receivers):
                if arrival_s[sender, receiver] < np.inf:
                    arrival_s[sender, receiver] = now_s + latency_s[sender, receiver]


@compiled
def collect(on_air: int, until_s: float, arrival_s: FloatArray, held: PeriodArray, heard: PeriodArray) -> int:
    """Everything that is due by `until_s` goes into `held[0]` and `heard`; how many broadcasts are still on the air, moved to the front."""
    waiting = 0
    for sent in range(on_air):
        if _deliver(arrival_s[sent], until_s, held[1 + sent], held[0], heard):
            if waiting < sent:
                _copy(arrival_s[sent], arrival_s[waiting])
                _copy(held[1 + sent], held[1 + waiting])
            waiting += 1
    return waiting


@compiled
def _copy(source: NDArray[Any], target: NDArray[Any]) -> None:
    """Between arrays of one shape; an assignment of arrays takes Numba five seconds to compile."""
    numbers, places = source.ravel(), target.ravel()
    for place in range(len(numbers)):
        places[place] = numbers[place]


@compiled
def _deliver(arrival_s: FloatArray, until_s: float, sent: PeriodArray, held: PeriodArray, heard: PeriodArray) -> int:
    """Everything of one period's broadcasts that arrives by `until_s`; how much of them is still on the air.

    Where cars do not forward, only what the ego receives is of consequence.
    """
    links, cars, _ = sent.shape
    pending = 0
    for sender in range(arrival_s.shape[0]):
        for receiver in range(arrival_s.shape[1]):
            due_s = arrival_s[sender, receiver]
            if due_s > until_s:
                pending += due_s < np.inf
                continue
            # What has been delivered before may be delivered again: nothing of it is new then.
            if receiver == 0:
                for source in range(1, cars):  # the ego is no source to itself
                    heard[source] = max(heard[source], sent[links - 1, sender, source])
            if links > 1:
                held[1, receiver, sender] = max(held[1, receiver, sender], sent[0, sender, sender])
            for used in range(2, links):
                for source in range(cars):
                    held[used, receiver, source] = max(held[used, receiver, source], sent[used - 1, sender, source])
    return pending


@compiled
def broadcast(period: int, senders: int, on_air: int, held: PeriodArray) -> None:
    """The first cars measure anew; what is on the air keeps what was held when it was sent."""
    for links in range(held.shape[1]):
        for sender in range(senders):
            held[0, links, sender, sender] = period
    _copy(held[0], held[1 + on_air])


@compiled
def record(table: FloatArray, period: int, now_s: float, measured: FloatArray, columns: IntArray) -> None:
    """What the first p cars measured in this period, the `columns` (p,) of `measured` (5, N), into the ring `table` (periods, n, 6)."""
    slot = period % table.shape[0]
    for car in range(len(columns)):
        for row in range(MEASUREMENT_ROWS):
            table[slot, car, row] = measured[row, columns[car]]
        table[slot, car, MEASURED_S] = now_s


@compiled
def is_fresh(age_s: float, stale_after_s: float) -> bool:
    """Whether a measurement of this age is still believed."""
    return age_s <= stale_after_s + TIME_TOLERANCE_S


@compiled
def _fresh_slot(table: FloatArray, car: int, heard: int, period: int, now_s: float, stale_after_s: float) -> int:
    """Where in the ring the measurement lies that was `heard` of a car; -1 if it is forgotten, stale, or was never there."""
    if heard <= max(0, period - table.shape[0]):
        return -1
    slot = heard % table.shape[0]
    return slot if is_fresh(now_s - table[slot, car, MEASURED_S], stale_after_s) else -1


@compiled
def fresh(
    table: FloatArray, heard: PeriodArray, period: int, now_s: float, stale_after_s: float
) -> tuple[IntArray, FloatArray, FloatArray]:
    """The c cars of which the ego has heard what is not stale: their places (c,), measurements (5, c) and ages (c,)."""
    cars = np.empty(len(heard), dtype=np.intp)
    values, age_s = np.empty((MEASUREMENT_ROWS, len(heard))), np.empty(len(heard))
    count = 0
    for car in range(len(heard)):
        slot = _fresh_slot(table, car, heard[car], period, now_s, stale_after_s)
        if slot >= 0:
            cars[count] = car
            age_s[count] = min(now_s - table[slot, car, MEASURED_S], stale_after_s)
            for row in range(MEASUREMENT_ROWS):
                values[row, count] = table[slot, car, row]
            count += 1
    return cars[:count].copy(), values[:, :count].copy(), age_s[:count].copy()


@compiled
def relative(
    features: FeatureArray,
    measurement: tuple[float, float, float, float, float],
    age_s: float,
    own: tuple[float, float, float, float, float],
    cos: float,
    sin: float,
    scales: FloatArray,
) -> None:
    """One peer's measurement relative to the ego's own into `features` (6,), divided by their scales.

    Both measurements have the rows of `message.py`. `cos` and `sin` are those of the ego's own heading: their last bits depend on the
    library, so they are not compiled.
    """
    east_m, north_m = measurement[X_M] - own[X_M], measurement[Y_M] - own[Y_M]
    features[_FORWARD] = (east_m * cos + north_m * sin) / scales[_FORWARD]
    features[_LEFT] = (north_m * cos - east_m * sin) / scales[_LEFT]
    features[_SPEED] = (measurement[SPEED_MPS] - own[SPEED_MPS]) / scales[_SPEED]
    features[_HEADING] = wrapped(measurement[HEADING_RAD] - own[HEADING_RAD]) / scales[_HEADING]
    features[_ACCEL] = measurement[ACCEL_MPS2] / scales[_ACCEL]
    features[_AGE] = age_s / scales[_AGE]


@compiled
def relative_to(
    x_m: FloatArray,
    y_m: FloatArray,
    speed_mps: FloatArray,
    accel_mps2: FloatArray,
    heading_rad: FloatArray,
    age_s: FloatArray,
    own: tuple[float, float, float, float, float],
    cos: float,
    sin: float,
    scales: FloatArray,
    features: FeatureArray,
) -> None:
    """`relative` for all peers (n,) into `features` (n, 6)."""
    for row in range(len(x_m)):
        measurement = (x_m[row], y_m[row], speed_mps[row], accel_mps2[row], heading_rad[row])
        relative(features[row], measurement, age_s[row], own, cos, sin, scales)


@compiled
def _rows_of(table: FloatArray, slot: int, car: int) -> tuple[float, float, float, float, float]:
    row = table[slot, car]
    return row[X_M], row[Y_M], row[SPEED_MPS], row[ACCEL_MPS2], row[HEADING_RAD]


@compiled
def exchange(
    period: int,
    now_s: float,
    on_air: int,
    measured: FloatArray,
    x_m: FloatArray,
    y_m: FloatArray,
    normals: FloatArray,
    normal: int,
    cos: float,
    sin: float,
    previous_action: float,
    ego: FeatureArray,
    peers: FeatureArray,
    columns: IntArray,
    state: IntArray,
    bands: FloatArray,
    keys: KeyArray,
    base_s: float,
    jitter_s: float,
    arrival_s: FloatArray,
    held: PeriodArray,
    heard: PeriodArray,
    table: FloatArray,
    stale_after_s: float,
    ego_scales: FloatArray,
    peer_scales: FloatArray,
) -> tuple[int, int]:
    """One period of the radio with the ego on the road, in one call: a call from Python costs as much as all of this for some ten cars.

    First receive, then send: what arrives now may be forwarded now, what is sent now is not known to others yet, unless nothing takes time.

    Args:
        period: number of this period.
        now_s: its time.
        on_air: how many broadcasts are on the air; there must be room for one more.
        measured: (5, N) as `measure` gave it.
        x_m: true places (N,).
        y_m: true places (N,).
        normals: a block of normal numbers (periods, p, m) for latencies, empty where these are not drawn.
        normal: row of `normals` that is this period's.
        cos: of the ego's own heading as measured.
        sin: of the same.
        previous_action: what the ego commanded last.
        ego: takes the ego's features (3,).
        peers: takes the peers' features, at least (n - 1, 6).
        columns: (p,) columns in `measured` of the cars that send.
        state: of every link (p, m).
        bands: see `links.py`, as `keys`.
        keys: of every link (p, m).
        base_s: mean latency.
        jitter_s: its standard deviation.
        arrival_s: see `relay.py`, as `held` and `heard`.
        held: what all cars know.
        heard: what the ego has heard.
        table: see `record`.
        stale_after_s: age at which a neighbour is forgotten.
        ego_scales: what `ego` is divided by.
        peer_scales: what `peers` are divided by.

    Returns:
        How many peers are heard, and how many broadcasts are on the air now.
    """
    on_air = collect(on_air, now_s + TIME_TOLERANCE_S, arrival_s, held, heard)
    record(table, period, now_s, measured, columns)
    if len(columns) < len(heard):
        arrival_s[on_air] = np.inf  # nothing comes from or to cars that have left
    latency_normals = normals[normal] if len(normals) else np.empty((0, 0))
    transmit(state, bands, keys, period, latency_normals, x_m[columns], y_m[columns], now_s, base_s, jitter_s, arrival_s[on_air])
    broadcast(period, len(columns), on_air, held)
    on_air += 1
    if base_s == 0.0:
        on_air = collect(on_air, now_s + TIME_TOLERANCE_S, arrival_s, held, heard)
    own = _rows_of(table, period % table.shape[0], 0)
    ego[_EGO_SPEED], ego[_EGO_ACCEL] = own[SPEED_MPS] / ego_scales[_EGO_SPEED], own[ACCEL_MPS2] / ego_scales[_EGO_ACCEL]
    ego[_EGO_ACTION] = previous_action / ego_scales[_EGO_ACTION]
    count = 0
    for car in range(1, len(heard)):
        slot = _fresh_slot(table, car, heard[car], period, now_s, stale_after_s)
        if slot >= 0:
            age_s = min(now_s - table[slot, car, MEASURED_S], stale_after_s)
            relative(peers[count], _rows_of(table, slot, car), age_s, own, cos, sin, peer_scales)
            count += 1
    return count, on_air
