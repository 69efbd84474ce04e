/* Declarations of what the sketch uses of Arduino and FreeRTOS, after the ESP32 core 3; nothing is implemented. */
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
typedef void *QueueHandle_t;
typedef int BaseType_t;
#define pdTRUE 1
QueueHandle_t xQueueCreate(unsigned length, unsigned item_bytes);
BaseType_t xQueueSend(QueueHandle_t queue, const void *item, unsigned ticks);
BaseType_t xQueueReceive(QueueHandle_t queue, void *item, unsigned ticks);
unsigned long millis();
unsigned long micros();
void delay(uint32_t ms);
struct HardwareSerial {
  void begin(unsigned long baud);
  int printf(const char *format, ...) __attribute__((format(printf, 2, 3)));
  void println(const char *text);
};
extern HardwareSerial Serial;
struct EspClass {
  void restart();
};
extern EspClass ESP;
