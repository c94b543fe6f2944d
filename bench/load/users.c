#include "load/users.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "load/file.h"

#define NAME_MAX_OCTETS 320

/* Cuts the next line of *text off and in two; false at the end. */
static bool next_line(char **text, struct user *user)
{
    char *line, *space;

    do {
        line = strsep(text, "\n");
    } while (line && !*line);
    if (!line)
        return false;
    space = strchr(line, ' ');
    if (space)
        *space++ = '\0';
    *user = (struct user){line, space ? space : ""};
    return true;
}

static bool add(struct users *users, struct user user)
{
    /* Doubles at each power of two. */
    if ((users->count & (users->count - 1)) == 0) {
        size_t cap = users->count ? users->count * 2 : 1;
        struct user *grown = realloc(users->list, cap * sizeof(*grown));

        if (!grown)
            return false;
        users->list = grown;
    }
    users->list[users->count++] = user;
    return true;
}

static bool from_file(struct users *users, const char *path, struct reason *why)
{
    struct user user;
    char *at;

    users->text = file_read(path, why);
    if (!users->text)
        return false;
    at = users->text;
    while (next_line(&at, &user)) {
        if (!add(users, user))
            return reason_set(why, "out of memory for users");
    }
    return users->count || reason_set(why, "%s names no user", path);
}

/* The pattern with its first "%u" replaced. */
static void fill_in(const char *pattern, uint64_t number, struct text *out)
{
    const char *mark = strstr(pattern, "%u");

    text_add(out, pattern, mark ? (size_t)(mark - pattern) : strlen(pattern));
    if (!mark)
        return;
    text_add_u64(out, number);
    text_add_str(out, mark + 2);
}

static bool from_pattern(struct users *users, const struct load_options *options,
                         struct reason *why)
{
    users->text = calloc(options->accounts, NAME_MAX_OCTETS);
    if (!users->text)
        return reason_set(why, "out of memory for users");
    for (uint64_t i = 0; i < options->accounts; i++) {
        char *name = users->text + i * NAME_MAX_OCTETS;
        struct text text;

        text_init(&text, name, NAME_MAX_OCTETS);
        fill_in(options->user ? options->user : "load@load.example", i + 1, &text);
        if (!add(users, (struct user){name, options->password}))
            return reason_set(why, "out of memory for users");
    }
    return true;
}

bool users_load(struct users *users, const struct load_options *options, struct reason *why)
{
    *users = (struct users){0};
    return options->users_file ? from_file(users, options->users_file, why)
                               : from_pattern(users, options, why);
}

void users_clear(struct users *users)
{
    free(users->list);
    free(users->text);
    *users = (struct users){0};
}
