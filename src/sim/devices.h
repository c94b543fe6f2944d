/* Device codes (RFC 8628): what /devicecode gives out, a user answers on the
 * page /device, and device_code asks for. */
#pragma once

#include <jansson.h>
#include <uthash.h>

#include "sim/accounts.h"
#include "sim/token_errors.h"

enum device_state { DEVICE_PENDING, DEVICE_ALLOWED, DEVICE_DECLINED, DEVICE_EXPIRED, DEVICE_DONE };

struct device {
    UT_hash_handle hh; /* in the order in which they were made */
    struct client *client;
    struct account *account; /* who allowed it, or NULL */
    enum device_state state;
    char *scope;
    char user_code[12];
    uint64_t expires_ms; /* wall clock */
    uint64_t interval_ms, polled_ms;
    unsigned polls;
    char code[];
};

struct devices {
    struct device *by_code;
};

struct device *devices_add(struct devices *devices, struct client *client, const char *scope);
struct device *devices_find(struct devices *devices, struct slice code);
/* By what the user types, in any case and with or without dashes; an empty one
 * finds the newest that nobody has answered. */
struct device *devices_find_user_code(struct devices *devices, const char *user_code);
void devices_clear(struct devices *devices);
json_t *devices_show(const struct devices *devices);

/* The user's answer; NULL: no. */
void device_answer(struct device *device, struct account *account);
/* One poll: true when the user has allowed it. */
bool device_poll(struct device *device, struct knob_scope knobs, struct token_fault *fault);
/* Whether a text is a value of the knob device_polls. */
bool device_polls_known(const char *words);
