#include "ctl/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/wipe.h"
#include "ctl/ctl.h"
#include "ctl/records.h"

#define TEXT_MAX (1u << 20)

int input_open(const char *path)
{
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        ctl_fail("cannot open %s: %s", path, strerror(errno));
    return fd;
}

void input_close(int fd)
{
    if (fd > STDIN_FILENO)
        close(fd);
}

static int read_all(int fd, const char *path, char *out, size_t *len)
{
    ssize_t got;

    *len = 0;
    do {
        got = read(fd, out + *len, TEXT_MAX + 1 - *len);
        if (got < 0 && errno != EINTR)
            return ctl_fail("cannot read %s: %s", path, strerror(errno));
        *len += got > 0 ? (size_t)got : 0;
    } while (got != 0 && *len <= TEXT_MAX);
    return *len <= TEXT_MAX ? CTL_OK : ctl_fail("%s has more than 1 MiB", path);
}

int input_text(const char *path, char **out, size_t *len)
{
    int fd = input_open(path), rc;

    *out = fd >= 0 ? malloc(TEXT_MAX + 2) : NULL;
    rc = *out ? read_all(fd, path, *out, len) : CTL_FAILED;
    input_close(fd);
    if (rc == CTL_OK) {
        (*out)[*len] = '\0';
        return rc;
    }
    secret_free_len(*out, *out ? TEXT_MAX + 1 : 0);
    *out = NULL;
    return rc;
}

struct only {
    json_t *record;
    bool more;
};

static bool keep_first(void *owner, json_t *record, unsigned long long line)
{
    struct only *only = owner;

    (void)line;
    only->more = only->record != NULL;
    if (!only->more)
        only->record = json_incref(record);
    return !only->more;
}

int input_object(const char *path, json_t **out)
{
    struct records records = {RECORDS_BEGIN};
    struct only only = {NULL, false};
    struct reason why = {""};
    char *text;
    size_t len;
    int rc = input_text(path, &text, &len);

    *out = NULL;
    if (rc != CTL_OK)
        return rc;
    if (records_feed(&records, (struct slice){text, len}, keep_first, &only, &why) &&
        records_finish(&records, &why))
        *out = json_incref(only.record);
    secret_free_len(text, len);
    records_clear(&records);
    json_decref(only.record);
    if (only.more)
        return ctl_fail("%s holds several records: bearerctl import takes those", path);
    return *out ? CTL_OK : ctl_fail("%s: %s", path, why.text[0] ? why.text : "holds no record");
}
