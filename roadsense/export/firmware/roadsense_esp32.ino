/* RoadSense on an ESP32 (Arduino core 3): broadcasts its own state, hears the convoy over ESP-NOW, decides ten times a second.
 *
 * Put policy.h, golden.h, neighbours.h and message.h beside this file, fill in the three functions under "your car", and flash it.
 * At start it runs the golden vectors; a board that does not reproduce them never brakes.
 *
 * Every car needs the same Wi-Fi channel, an id of its own, and GPS time (the ages of messages are differences of two cars' clocks).
 */
#include <WiFi.h>
#include <esp_now.h>
#include <esp_wifi.h>

#include "golden.h"
#include "neighbours.h"

static const uint32_t OWN_ID = 1; /* unique in the convoy; V001 */
static const uint8_t CHANNEL = 1;
static const uint32_t PERIOD_MS = 100;
static const uint8_t BROADCAST[6] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
static const int MOST_FORWARDED = 8; /* per period, so that forwarding cannot fill the channel */

/* ---- your car ------------------------------------------------------------------------------------------------------------------ */

/* Time in ms that all cars share, from GPS. millis() serves on the bench with one board only. */
static uint32_t shared_ms() { return millis(); }

/* The car's own GPS, speed sensor and accelerometer (along the car, negative when it brakes); false while there is no fix. */
static bool measure(roadsense_own *own) {
  (void)own;
  return false;
}

/* The decision: 0 leaves the car to its driver, more is the fraction of full braking (8 m/s2). */
static void brake(float action) { Serial.printf("action %.3f\n", (double)action); }

/* -------------------------------------------------------------------------------------------------------------------------------- */

static QueueHandle_t received; /* messages from the Wi-Fi task to the loop */
static roadsense_neighbours neighbours;
static bool is_proven = false;
static float previous_action = 0.0f;
static uint32_t sequence = 0;
static uint32_t next_ms = 0;

static void on_receive(const esp_now_recv_info_t *info, const uint8_t *bytes, int length) {
  (void)info;
  roadsense_message message;
  if (roadsense_message_decode(bytes, length, &message)) {
    xQueueSend(received, &message, 0); /* a full queue drops the message, as the air may do as well */
  }
}

static bool reproduces_golden_vectors() {
  for (int number = 0; number < ROADSENSE_GOLDEN_CASES; ++number) {
    const roadsense_golden_case *expected = &roadsense_golden_cases[number];
    roadsense_policy policy;
    float action = -1.0f;
    if (roadsense_begin(&policy, &expected->ego) != ROADSENSE_OK) {
      return false;
    }
    for (int i = 0; i < expected->peer_count; ++i) {
      if (roadsense_add_peer(&policy, &roadsense_golden_peers[expected->first_peer + i]) != ROADSENSE_OK) {
        return false;
      }
    }
    if (roadsense_act(&policy, &action) != ROADSENSE_OK || !(fabsf(action - expected->action) <= ROADSENSE_GOLDEN_ACTION_TOLERANCE)) {
      return false;
    }
  }
  return true;
}

static void send(const roadsense_message *message) {
  uint8_t bytes[ROADSENSE_MESSAGE_BYTES];
  roadsense_message_encode(message, bytes);
  esp_now_send(BROADCAST, bytes, sizeof bytes);
}

void setup() {
  Serial.begin(115200);
  is_proven = reproduces_golden_vectors();
  Serial.println(is_proven ? "golden: ok" : "golden: FAILED, this board will not brake");
  received = xQueueCreate(64, sizeof(roadsense_message));
  roadsense_forget_all(&neighbours);
  WiFi.mode(WIFI_STA);
  esp_wifi_set_channel(CHANNEL, WIFI_SECOND_CHAN_NONE);
  if (esp_now_init() != ESP_OK) {
    Serial.println("ESP-NOW did not start; restarting");
    ESP.restart();
  }
  esp_now_peer_info_t everyone = {};
  memcpy(everyone.peer_addr, BROADCAST, sizeof BROADCAST);
  everyone.channel = CHANNEL;
  esp_now_add_peer(&everyone);
  esp_now_register_recv_cb(on_receive);
  next_ms = millis();
}

void loop() {
  if ((int32_t)(millis() - next_ms) < 0) {
    delay(1);
    return;
  }
  next_ms += PERIOD_MS;
  const uint32_t now_ms = shared_ms();

  roadsense_message heard;
  int forwarded = 0;
  while (xQueueReceive(received, &heard, 0) == pdTRUE) {
    if (roadsense_hear(&neighbours, &heard, OWN_ID, now_ms) && heard.hop_count + 1 < ROADSENSE_MAX_HOPS && forwarded < MOST_FORWARDED) {
      heard.hop_count += 1;
      send(&heard);
      forwarded += 1;
    }
  }

  roadsense_own own;
  if (!measure(&own)) {
    previous_action = 0.0f;
    brake(0.0f); /* without knowing where it is, the car is its driver's */
    return;
  }
  float north = fmodf(own.heading_deg, 360.0f);
  north = north < 0.0f ? north + 360.0f : north;
  roadsense_message message = {};
  message.source_id = OWN_ID;
  message.sequence = sequence++;
  message.measured_ms = now_ms;
  message.latitude_e7 = own.latitude_e7;
  message.longitude_e7 = own.longitude_e7;
  message.speed_cmps = (uint16_t)(own.speed_mps * 100.0f + 0.5f);
  message.accel_cmps2 = (int16_t)lroundf(own.accel_mps2 * 100.0f);
  message.heading_cdeg = (uint16_t)(north * 100.0f) % 36000;
  send(&message);

  float action = 0.0f;
  int peers = 0;
  const uint32_t began_us = micros();
  const roadsense_status status = roadsense_decide_now(&neighbours, &own, previous_action, now_ms, &action, &peers);
  const uint32_t took_us = micros() - began_us;
  previous_action = is_proven && status == ROADSENSE_OK ? action : 0.0f;
  brake(previous_action);
  if (sequence % 50 == 0) {
    Serial.printf("%d peers, %lu us, status %d\n", peers, (unsigned long)took_us, (int)status);
  }
}
