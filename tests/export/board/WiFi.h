#pragma once
enum wifi_mode_t { WIFI_STA = 1 };
struct WiFiClass {
  bool mode(wifi_mode_t mode);
};
extern WiFiClass WiFi;
