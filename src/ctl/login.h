/* bearerctl login: what its files share. bearerd does the work (POST /admin/logins); here is
 * the person, his browser and his terminal. */
#pragma once

#include "ctl/api.h"
#include "ctl/loopback.h"

struct signing {
    const struct args *args;
    struct api *api;
    json_t *wish; /* what is asked for, but for the address */
    bool device, open_browser, many;
    struct loopback loopback;
    bool listening;
    /* Standard input, whose lines may be pasted addresses; what is behind the last line
     * stays for the next account. */
    char typed[CALLBACK_HEAD_MAX];
    size_t typed_len;
    bool input_over;
    uint64_t looked_ms; /* when bearerd was asked last whether it waits */
};

/* Waits until a login that has begun is over. `outcome`: as the API shows it then, the
 * caller's. Returns an exit code; CTL_OK also for one that failed at the provider. */
int login_wait(struct signing *signing, const json_t *login, json_t **outcome);

/* For the person, on standard error; texts of the API are made harmless. */
void login_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
