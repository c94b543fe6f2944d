/* Signing in on another device (RFC 8628): what its endpoint gives, and what the token
 * endpoint says to each poll. Pure. */
#pragma once

#include "broker/oauth/response.h"

#define DEVICE_INTERVAL_S 5     /* RFC 8628 section 3.2, where none is told */
#define DEVICE_SLOWER_MS 5000   /* section 3.5, behind each slow_down */
#define DEVICE_LIFE_MAX_S 3600u /* we keep none for longer */

struct device_grant {
    char *device_code; /* a secret: owned */
    char user_code[64];
    char verification_uri[512]; /* http or https, visible ASCII */
    char complete[768];         /* the same with the code in it; "" none */
    uint64_t expires_ms, interval_ms;
};

/* False: it is none, and `failure` has its class and text. */
bool device_grant_read(struct device_grant *grant, const struct oauth_answer *answer,
                       struct oauth_response *failure);
void device_grant_clear(struct device_grant *grant); /* wipes */

enum device_poll {
    DEVICE_GRANTED,
    DEVICE_PENDING,
    DEVICE_SLOWER,   /* pending, and polls come too fast */
    DEVICE_AGAIN,    /* no word of it: the endpoint has troubles of its own */
    DEVICE_DECLINED, /* the person said no */
    DEVICE_EXPIRED,  /* nobody has typed the code in time */
    DEVICE_REFUSED   /* anything else: see the response */
};

enum device_poll device_poll_of(const struct oauth_response *response);
