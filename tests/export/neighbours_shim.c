/* neighbours.h behind functions that Python can call. */
#include "neighbours.h"

static roadsense_neighbours table;

void shim_clear(void);
int shim_hear(uint32_t id, uint32_t measured_ms, int32_t lat_e7, int32_t lon_e7, uint16_t speed, int16_t accel, uint16_t heading,
              uint32_t own_id, uint32_t now_ms);
int shim_peers(int32_t lat_e7, int32_t lon_e7, float speed, float heading, uint32_t now_ms, float *peers);
int shim_decide(int32_t lat_e7, int32_t lon_e7, float speed, float accel, float heading, uint32_t now_ms, float *action);
int shim_round_trip(const uint8_t *bytes, int length, uint8_t *again);

void shim_clear(void) { roadsense_forget_all(&table); }

int shim_hear(uint32_t id, uint32_t measured_ms, int32_t lat_e7, int32_t lon_e7, uint16_t speed, int16_t accel, uint16_t heading,
              uint32_t own_id, uint32_t now_ms) {
  roadsense_message message = {0, id, 0, measured_ms, lat_e7, lon_e7, speed, accel, heading};
  return roadsense_hear(&table, &message, own_id, now_ms);
}

int shim_peers(int32_t lat_e7, int32_t lon_e7, float speed, float heading, uint32_t now_ms, float *peers) {
  const roadsense_own own = {lat_e7, lon_e7, speed, 0.0f, heading};
  int i, count = 0;
  for (i = 0; i < table.count; ++i) {
    if (roadsense_is_fresh(&table.newest[i], now_ms)) {
      const roadsense_peer peer = roadsense_relative(&table.newest[i], &own, now_ms);
      memcpy(peers + ROADSENSE_PEER_SIZE * count++, &peer, sizeof peer);
    }
  }
  return count;
}

int shim_decide(int32_t lat_e7, int32_t lon_e7, float speed, float accel, float heading, uint32_t now_ms, float *action) {
  const roadsense_own own = {lat_e7, lon_e7, speed, accel, heading};
  return (int)roadsense_decide_now(&table, &own, 0.0f, now_ms, action, NULL);
}

int shim_round_trip(const uint8_t *bytes, int length, uint8_t *again) {
  roadsense_message message;
  if (!roadsense_message_decode(bytes, length, &message)) {
    return 0;
  }
  roadsense_message_encode(&message, again);
  return 1;
}
