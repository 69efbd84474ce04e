/* The neighbour table of the simulation on a device: the newest measurement of every source, forgotten when it is stale, seen from the
 * ego. No allocation; C99, also C++11.
 *
 *   - A source counts with its newest measurement, however many copies arrive in whatever order, directly or forwarded.
 *   - A measurement older than ROADSENSE_STALE_MS is not believed; whatever its source sends afterwards is new (it may have rebooted).
 *   - Its age is the time since the source measured, 0 at least. Its position is not extrapolated; the policy is given the age.
 *
 * Times are in ms on the clock that all cars share, modulo 2^32. Metres per degree follow the WGS84 ellipsoid at the ego's latitude.
 */
#ifndef ROADSENSE_NEIGHBOURS_H
#define ROADSENSE_NEIGHBOURS_H

#include "message.h"
#include "policy.h"

#ifndef ROADSENSE_MAX_NEIGHBOURS
#define ROADSENSE_MAX_NEIGHBOURS 64 /* places in the table; when all are taken by fresh sources, the oldest measurement makes room */
#endif
#define ROADSENSE_STALE_MS 500

typedef struct {
  roadsense_message newest[ROADSENSE_MAX_NEIGHBOURS];
  int count;
} roadsense_neighbours;

/* The ego's own measurement. */
typedef struct {
  int32_t latitude_e7;
  int32_t longitude_e7;
  float speed_mps;
  float accel_mps2;
  float heading_deg; /* clockwise from true north */
} roadsense_own;

/* Time since the measurement; negative when the source's clock is ahead. */
static inline int32_t roadsense_age_ms(const roadsense_message *message, uint32_t now_ms) {
  return (int32_t)(now_ms - message->measured_ms);
}

static inline int roadsense_is_fresh(const roadsense_message *message, uint32_t now_ms) {
  const int32_t age_ms = roadsense_age_ms(message, now_ms);
  return age_ms <= ROADSENSE_STALE_MS && age_ms >= -ROADSENSE_STALE_MS;
}

static inline void roadsense_forget_all(roadsense_neighbours *table) { table->count = 0; }

/* Take in a message. Returns 1 when it told something new (then forward it if it may go on), 0 otherwise. */
static inline int roadsense_hear(roadsense_neighbours *table, const roadsense_message *message, uint32_t own_id, uint32_t now_ms) {
  int i, place = -1, oldest = 0;
  if (message->source_id == own_id || !roadsense_is_fresh(message, now_ms)) {
    return 0; /* the ego's own words come back over relays */
  }
  for (i = 0; i < table->count; ++i) {
    const roadsense_message *known = &table->newest[i];
    if (known->source_id == message->source_id) {
      if (roadsense_is_fresh(known, now_ms) && (int32_t)(message->measured_ms - known->measured_ms) <= 0) {
        return 0;
      }
      table->newest[i] = *message;
      return 1;
    }
    if (!roadsense_is_fresh(known, now_ms)) {
      place = i;
    }
    if ((int32_t)(known->measured_ms - table->newest[oldest].measured_ms) < 0) {
      oldest = i;
    }
  }
  if (place < 0) {
    place = table->count < ROADSENSE_MAX_NEIGHBOURS ? table->count++ : oldest;
  }
  table->newest[place] = *message;
  return 1;
}

/* Degrees of latitude and longitude in metres at a latitude: series of the WGS84 meridian and parallel arcs, good to centimetres. */
static inline void roadsense_metres_per_degree(float latitude_deg, float *north_m, float *east_m) {
  const float phi = latitude_deg * 0.01745329252f;
  *north_m = 111132.954f - 559.822f * cosf(2.0f * phi) + 1.175f * cosf(4.0f * phi);
  *east_m = 111412.84f * cosf(phi) - 93.5f * cosf(3.0f * phi) + 0.118f * cosf(5.0f * phi);
}

/* The same direction in (-pi, pi]. */
static inline float roadsense_wrap(float angle_rad) {
  const float pi = 3.14159265f;
  while (angle_rad > pi) {
    angle_rad -= 2.0f * pi;
  }
  while (angle_rad <= -pi) {
    angle_rad += 2.0f * pi;
  }
  return angle_rad;
}

/* A neighbour in the ego's frame. */
static inline roadsense_peer roadsense_relative(const roadsense_message *message, const roadsense_own *own, uint32_t now_ms) {
  const float heading_rad = (90.0f - own->heading_deg) * 0.01745329252f;
  const float peer_heading_rad = (90.0f - (float)message->heading_cdeg * 0.01f) * 0.01745329252f;
  const float peer_speed_mps = (float)message->speed_cmps * 0.01f;
  const int32_t age_ms = roadsense_age_ms(message, now_ms);
  const int64_t turn = INT64_C(3600000000);
  int64_t east_e7 = (int64_t)message->longitude_e7 - own->longitude_e7;
  float north_per_degree_m, east_per_degree_m, east_m, north_m;
  roadsense_peer peer;
  if (east_e7 > turn / 2) {
    east_e7 -= turn; /* across the antimeridian */
  } else if (east_e7 < -turn / 2) {
    east_e7 += turn;
  }
  roadsense_metres_per_degree((float)own->latitude_e7 * 1e-7f, &north_per_degree_m, &east_per_degree_m);
  east_m = (float)east_e7 * 1e-7f * east_per_degree_m;
  north_m = (float)((int64_t)message->latitude_e7 - own->latitude_e7) * 1e-7f * north_per_degree_m;
  peer.forward_m = east_m * cosf(heading_rad) + north_m * sinf(heading_rad);
  peer.left_m = north_m * cosf(heading_rad) - east_m * sinf(heading_rad);
  peer.relative_speed_mps = peer_speed_mps - own->speed_mps;
  peer.relative_heading_rad = roadsense_wrap(peer_heading_rad - heading_rad);
  peer.accel_mps2 = (float)message->accel_cmps2 * 0.01f;
  peer.age_s = age_ms > 0 ? (float)age_ms * 0.001f : 0.0f;
  return peer;
}

/* One decision: the ego, every fresh neighbour, the action. `peers` (may be NULL) receives how many counted. */
static inline roadsense_status roadsense_decide_now(const roadsense_neighbours *table, const roadsense_own *own, float previous_action,
                                                    uint32_t now_ms, float *action, int *peers) {
  roadsense_policy policy;
  roadsense_ego ego;
  int i, counted = 0;
  ego.speed_mps = own->speed_mps;
  ego.accel_mps2 = own->accel_mps2;
  ego.previous_action = previous_action;
  roadsense_begin(&policy, &ego);
  if (!roadsense_is_finite(own->heading_deg) || own->heading_deg > 3600.0f || own->heading_deg < -3600.0f) {
    policy.is_begun = 0; /* without a heading there is no ahead */
  }
  for (i = 0; i < table->count && policy.is_begun; ++i) {
    if (roadsense_is_fresh(&table->newest[i], now_ms)) {
      const roadsense_peer peer = roadsense_relative(&table->newest[i], own, now_ms);
      counted += roadsense_add_peer(&policy, &peer) == ROADSENSE_OK;
    }
  }
  if (peers != NULL) {
    *peers = counted;
  }
  return roadsense_act(&policy, action);
}

#endif /* ROADSENSE_NEIGHBOURS_H */
