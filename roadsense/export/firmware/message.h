/* What cars tell each other over ESP-NOW: one broadcast of 32 bytes per car and 100 ms, little-endian, written byte by byte so that no
 * compiler's padding can change it.
 *
 *   offset size  field
 *    0     1     'R', so that other traffic on the channel is told apart
 *    1     1     version of this layout: 1
 *    2     1     hop_count: links travelled before this broadcast; 0 from the source itself, at most 2 when sent (3 links in all)
 *    3     1     0
 *    4     4     source_id: who measured (not who forwards); unique in the convoy
 *    8     4     sequence: counts the source's own messages
 *   12     4     measured_ms: when the source measured, on the clock that all share (GPS time, modulo 2^32 ms)
 *   16     4     latitude, 1e-7 degrees, WGS84
 *   20     4     longitude, 1e-7 degrees
 *   24     2     speed, cm/s
 *   26     2     acceleration along the car, cm/s2, negative when it brakes
 *   28     2     heading, 0.01 degrees clockwise from true north, 0 to 35999
 *   30     2     0
 *
 * C99, also C++11.
 */
#ifndef ROADSENSE_MESSAGE_H
#define ROADSENSE_MESSAGE_H

#include <stdint.h>

#define ROADSENSE_MESSAGE_BYTES 32
#define ROADSENSE_MAX_HOPS 3

typedef struct {
  uint8_t hop_count;
  uint32_t source_id;
  uint32_t sequence;
  uint32_t measured_ms;
  int32_t latitude_e7;
  int32_t longitude_e7;
  uint16_t speed_cmps;
  int16_t accel_cmps2;
  uint16_t heading_cdeg;
} roadsense_message;

static inline void roadsense_put(uint8_t *bytes, int count, uint32_t value) {
  int i;
  for (i = 0; i < count; ++i) {
    bytes[i] = (uint8_t)((value >> (8 * i)) & 0xFFu);
  }
}

static inline uint32_t roadsense_get(const uint8_t *bytes, int count) {
  uint32_t value = 0;
  int i;
  for (i = 0; i < count; ++i) {
    value |= (uint32_t)bytes[i] << (8 * i);
  }
  return value;
}

static inline void roadsense_message_encode(const roadsense_message *message, uint8_t *bytes) {
  roadsense_put(bytes, 1, 'R');
  roadsense_put(bytes + 1, 1, 1);
  roadsense_put(bytes + 2, 1, message->hop_count);
  roadsense_put(bytes + 3, 1, 0);
  roadsense_put(bytes + 4, 4, message->source_id);
  roadsense_put(bytes + 8, 4, message->sequence);
  roadsense_put(bytes + 12, 4, message->measured_ms);
  roadsense_put(bytes + 16, 4, (uint32_t)message->latitude_e7);
  roadsense_put(bytes + 20, 4, (uint32_t)message->longitude_e7);
  roadsense_put(bytes + 24, 2, message->speed_cmps);
  roadsense_put(bytes + 26, 2, (uint16_t)message->accel_cmps2);
  roadsense_put(bytes + 28, 2, message->heading_cdeg);
  roadsense_put(bytes + 30, 2, 0);
}

/* 1 and the message, or 0 for bytes that are none: another length, sign or version, or values that no car has. */
static inline int roadsense_message_decode(const uint8_t *bytes, int length, roadsense_message *message) {
  if (length != ROADSENSE_MESSAGE_BYTES || bytes[0] != 'R' || bytes[1] != 1 || bytes[2] >= ROADSENSE_MAX_HOPS) {
    return 0;
  }
  message->hop_count = bytes[2];
  message->source_id = roadsense_get(bytes + 4, 4);
  message->sequence = roadsense_get(bytes + 8, 4);
  message->measured_ms = roadsense_get(bytes + 12, 4);
  message->latitude_e7 = (int32_t)roadsense_get(bytes + 16, 4);
  message->longitude_e7 = (int32_t)roadsense_get(bytes + 20, 4);
  message->speed_cmps = (uint16_t)roadsense_get(bytes + 24, 2);
  message->accel_cmps2 = (int16_t)roadsense_get(bytes + 26, 2);
  message->heading_cdeg = (uint16_t)roadsense_get(bytes + 28, 2);
  return message->latitude_e7 >= -900000000 && message->latitude_e7 <= 900000000 && message->longitude_e7 >= -1800000000 &&
         message->longitude_e7 <= 1800000000 && message->heading_cdeg < 36000;
}

#endif /* ROADSENSE_MESSAGE_H */
