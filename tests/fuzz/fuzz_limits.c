/* What an account has sent, as it comes back from the broker. */
#include "fuzz.h"
#include "relay/limit/saved.h"

#define NOW (48 * 3600 * 1000ull)

/* A slot that is full takes no more, and two may become one. */
static void check_same(uint64_t before, uint64_t after)
{
    require(after == before || before >= UINT32_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t max[LIMITS] = {30, 1000, 2000, 10000};
    struct limits limits = {.flying = 0}, again = {.flying = 0};
    char memory[SAVED_MAX];
    struct text text;

    if (!limits_set(&limits, max) || !limits_set(&again, max))
        return 0;
    if (limits_restore(&limits, NOW, (struct slice){(const char *)data, size}, 0, SAVED_NOTHING)) {
        limits.flying = limits.flying_recipients = 0;
        text_init(&text, memory, sizeof(memory));
        limits_save(&limits, NOW, &text);
        require(!text.cut);
        require(limits_restore(&again, NOW, (struct slice){text.at, text.len}, 0, SAVED_NOTHING));
        for (size_t i = 0; i < LIMITS; i++)
            check_same(limits_used(&limits, NOW, (enum limit)i),
                       limits_used(&again, NOW, (enum limit)i));
    }
    limits_clear(&limits);
    limits_clear(&again);
    return 0;
}
