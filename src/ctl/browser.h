/* The browser of whoever runs bearerctl. */
#pragma once

#include <stdbool.h>

/* Whether there may be one: BROWSER is set; or there is a screen (DISPLAY,
 * WAYLAND_DISPLAY), and we are not root, whose browser it would be. */
bool browser_possible(void);
/* Starts it with the address, by BROWSER or xdg-open, and does not wait. False: that did not
 * work, or it is no plain https:// address. */
bool browser_open(const char *url);
