/* Prints the table of causes and cures for tools/hint-docs: sources, state (or "*"),
 * provider (or "*"), pattern (or "*"), cause, text. */
#include <stdio.h>

#include "broker/admin/hints.h"

static void print_sources(unsigned sources)
{
    static const char *const names[] = {"operator", "address", "connect",
                                        "endpoint", "token",   "server"};
    const char *comma = "";

    for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (!(sources & 1u << i))
            continue;
        printf("%s%s", comma, names[i]);
        comma = ",";
    }
}

int main(void)
{
    for (size_t i = 0; i < hint_row_count; i++) {
        const struct hint *hint = &hint_rows[i];

        print_sources(hint->sources);
        printf("\t%s\t%s\t%s\t%s\t%s\n",
               hint->state == HINT_ANY_STATE ? "*" : account_state_names[hint->state],
               hint->provider ? hint->provider : "*", hint->pattern ? hint->pattern : "*",
               hint->cause, hint->text);
    }
    return 0;
}
