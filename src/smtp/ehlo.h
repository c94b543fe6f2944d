/* What a server offers in its EHLO reply. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "smtp/reply.h"

enum smtp_cap {
    SMTP_CAP_PIPELINING = 1 << 0,
    SMTP_CAP_CHUNKING = 1 << 1,
    SMTP_CAP_8BITMIME = 1 << 2,
    SMTP_CAP_SMTPUTF8 = 1 << 3,
    SMTP_CAP_DSN = 1 << 4,
    SMTP_CAP_STARTTLS = 1 << 5,
    SMTP_CAP_ENHANCED = 1 << 6,
    SMTP_CAP_SIZE = 1 << 7,
    SMTP_CAP_BINARYMIME = 1 << 8,
};

enum smtp_mech {
    SMTP_MECH_XOAUTH2 = 1 << 0,
    SMTP_MECH_OAUTHBEARER = 1 << 1,
    SMTP_MECH_PLAIN = 1 << 2,
    SMTP_MECH_LOGIN = 1 << 3,
};

struct smtp_caps {
    unsigned caps;  /* enum smtp_cap bits */
    unsigned mechs; /* enum smtp_mech bits; "AUTH=" as of old servers counts too */
    uint64_t size;  /* SIZE limit, 0: none said */
};

/* `reply` is a 250 to EHLO; unknown keywords and bad parameters are ignored. */
void smtp_caps_parse(const struct smtp_reply *reply, struct smtp_caps *out);
