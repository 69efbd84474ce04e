/* After https://docs.espressif.com/projects/esp-idf/en/latest/esp32/api-reference/network/esp_now.html; nothing is implemented. */
#pragma once
#include <stddef.h>
#include <stdint.h>
typedef int esp_err_t;
#define ESP_OK 0
struct esp_now_peer_info_t {
  uint8_t peer_addr[6];
  uint8_t lmk[16];
  uint8_t channel;
  int ifidx;
  bool encrypt;
  void *priv;
};
struct esp_now_recv_info_t {
  uint8_t *src_addr;
  uint8_t *des_addr;
  void *rx_ctrl;
};
typedef void (*esp_now_recv_cb_t)(const esp_now_recv_info_t *info, const uint8_t *data, int length);
esp_err_t esp_now_init();
esp_err_t esp_now_add_peer(const esp_now_peer_info_t *peer);
esp_err_t esp_now_register_recv_cb(esp_now_recv_cb_t callback);
esp_err_t esp_now_send(const uint8_t *address, const uint8_t *data, size_t length);
