#include "broker/store/store.h"

static const struct store_ops *const back_ends[] = {&file_store_ops, NULL};

struct store *store_open(const char *location, const struct store_options *options,
                         struct reason *why)
{
    for (size_t i = 0; back_ends[i]; i++) {
        size_t len = strlen(back_ends[i]->scheme);

        if (strncmp(location, back_ends[i]->scheme, len) == 0 && location[len] == ':')
            return back_ends[i]->open(location + len + 1, options, why);
    }
    return file_store_ops.open(location, options, why);
}
