/* The service manager: readiness, status, watchdog. Nothing happens when there
 * is none, or when we were built without libsystemd. */
#pragma once

#include <stdint.h>

void notify_ready(const char *status);
void notify_status(const char *status);
void notify_reloading(void);
void notify_stopping(void);
void notify_alive(void);
/* How often the watchdog wants notify_alive, in milliseconds; 0: not at all. */
uint64_t notify_watchdog_ms(void);
