#include "sim/profile.h"

#include <string.h>

static const struct profile *const profiles[] = {&profile_gmail, &profile_m365};

const struct profile *profile_find(const char *name)
{
    for (size_t i = 0; i < sizeof(profiles) / sizeof(*profiles); i++) {
        if (strcmp(profiles[i]->name, name) == 0 || strcmp(profiles[i]->provider, name) == 0)
            return profiles[i];
    }
    return NULL;
}
