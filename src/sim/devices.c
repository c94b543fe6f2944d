#include "sim/devices.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sim/random.h"

#define CODE_OCTETS 96
#define DEVICES_KEPT 1024 /* older ones are forgotten */
#define SLOWER_MS 5000    /* RFC 8628 section 3.5 */
#define LENIENCE_MS 500   /* a poll may be so much early: networks are not clocks */

static const char *const state_names[] = {"pending", "allowed", "declined", "expired", "done"};

/* What the knob device_polls may say, and the error that it makes. */
static const char *const answers[][2] = {{"pending", "authorization_pending"},
                                         {"slow_down", "slow_down"},
                                         {"declined", "authorization_declined"},
                                         {"expired", "expired_token"},
                                         {"bad", "bad_verification_code"}};

static const char *find_answer(struct slice word)
{
    for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
        if (slice_equal(slice_of(answers[i][0]), word))
            return answers[i][1];
    }
    return NULL;
}

/* The word at `index` of a list with spaces or commas; an empty one: no more. */
static struct slice word_at(const char *words, unsigned index)
{
    struct slice word = {words, 0};

    for (unsigned i = 0; i <= index; i++) {
        word.ptr += word.len;
        word.ptr += strspn(word.ptr, " ,");
        word.len = strcspn(word.ptr, " ,");
    }
    return word;
}

bool device_polls_known(const char *words)
{
    struct slice word;

    for (unsigned i = 0; (word = word_at(words, i)).len; i++) {
        if (!find_answer(word))
            return false;
    }
    return true;
}

static void device_free(struct devices *devices, struct device *device)
{
    HASH_DEL(devices->by_code, device);
    free(device->scope);
    free(device);
}

/* No letters that look like digits, and none that make words. */
static void make_user_code(char out[12])
{
    static const char letters[] = "BCDFGHJKLMNPQRSTVWXZ";

    for (int i = 0; i < 9; i++)
        out[i] = letters[random_below(sizeof(letters) - 1)];
    out[9] = '\0';
}

struct device *devices_add(struct devices *devices, struct client *client, const char *scope)
{
    struct device *device = calloc(1, sizeof(*device) + CODE_OCTETS + 1);

    if (HASH_COUNT(devices->by_code) >= DEVICES_KEPT)
        device_free(devices, devices->by_code);
    device->client = client;
    device->scope = strdup(scope);
    make_user_code(device->user_code);
    random_text(device->code, CODE_OCTETS);
    HASH_ADD_KEYPTR(hh, devices->by_code, device->code, strlen(device->code), device);
    return device;
}

struct device *devices_find(struct devices *devices, struct slice code)
{
    struct device *device;

    HASH_FIND(hh, devices->by_code, code.ptr, code.len, device);
    return device;
}

static void plain_code(const char *typed, char out[12])
{
    size_t len = 0;

    for (; *typed && len < 11; typed++) {
        char c = ascii_lower(*typed);

        if (c >= 'a' && c <= 'z')
            out[len++] = (char)(c - 'a' + 'A');
    }
    out[len] = '\0';
}

struct device *devices_find_user_code(struct devices *devices, const char *user_code)
{
    struct device *device, *next, *found = NULL;
    char plain[12];

    plain_code(user_code, plain);
    HASH_ITER (hh, devices->by_code, device, next) {
        if (*plain ? strcmp(plain, device->user_code) == 0 : device->state == DEVICE_PENDING)
            found = device;
    }
    return found;
}

void devices_clear(struct devices *devices)
{
    struct device *device, *next;

    HASH_ITER (hh, devices->by_code, device, next) {
        device_free(devices, device);
    }
}

json_t *devices_show(const struct devices *devices)
{
    struct device *device, *next;
    json_t *out = json_array();

    HASH_ITER (hh, devices->by_code, device, next) {
        json_array_append_new(out,
                              json_pack("{s:s, s:s, s:s, s:i, s:I, s:s*}", "user_code",
                                        device->user_code, "client_id", device->client->id, "state",
                                        state_names[device->state], "polls", (int)device->polls,
                                        "interval", (json_int_t)(device->interval_ms / 1000),
                                        "user", device->account ? device->account->email : NULL));
    }
    return out;
}

void device_answer(struct device *device, struct account *account)
{
    device->account = account;
    device->state = account ? DEVICE_ALLOWED : DEVICE_DECLINED;
}

static bool is_too_soon(struct device *device, uint64_t now)
{
    uint64_t before = device->polled_ms;

    device->polled_ms = now;
    return before && device->interval_ms && now + LENIENCE_MS < before + device->interval_ms;
}

static const char *state_fault(const struct device *device)
{
    if (device->state == DEVICE_DONE)
        return "bad_verification_code";
    if (device->state == DEVICE_EXPIRED || device->expires_ms <= clock_wall_ms())
        return "expired_token";
    if (device->state == DEVICE_DECLINED)
        return "authorization_declined";
    return device->state == DEVICE_PENDING ? "authorization_pending" : NULL;
}

bool device_poll(struct device *device, struct knob_scope knobs, struct token_fault *fault)
{
    const char *scripted =
        find_answer(word_at(knob_text(knobs, KNOB_DEVICE_POLLS, ""), device->polls++));
    const char *name = state_fault(device);

    if (is_too_soon(device, clock_ms()))
        name = "slow_down";
    if (scripted)
        name = scripted;
    if (name && strcmp(name, "slow_down") == 0)
        device->interval_ms += SLOWER_MS;
    return !name || token_fault(fault, name, NULL);
}
