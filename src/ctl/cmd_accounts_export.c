#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/api.h"
#include "ctl/out.h"

struct export
{
    FILE *out;
    char *temporary; /* name of the file until it is complete; NULL: written directly */
    const char *path;
    bool list; /* JSON, not NDJSON */
    unsigned long long records;
    bool failed; /* the answer was wrong, and that was said */
};

/* A complete file or the old one: a backup that broke off must not look like
 * one. What is no ordinary file, a pipe or /dev/null, is written as it is. */
static int open_file(struct export *export)
{
    struct stat facts;
    int fd;

    if (stat(export->path, &facts) == 0 && !S_ISREG(facts.st_mode)) {
        fd = open(export->path, O_WRONLY | O_CLOEXEC);
    } else {
        if (asprintf(&export->temporary, "%s.XXXXXX", export->path) < 0)
            export->temporary = NULL;
        fd = export->temporary ? mkostemp(export->temporary, O_CLOEXEC) : -1; /* mode 0600 */
    }
    export->out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (export->out)
        return CTL_OK;
    ctl_fail("cannot write %s: %s", export->path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return CTL_FAILED;
}

static int close_file(struct export *export, int rc)
{
    bool written = fflush(export->out) == 0 && !ferror(export->out) &&
                   (fsync(fileno(export->out)) == 0 || !export->temporary);

    if (fclose(export->out) != 0 || !written) {
        if (rc == CTL_OK)
            rc = ctl_fail("cannot write %s: %s", export->path, strerror(errno));
    }
    if (rc == CTL_OK && export->temporary && rename(export->temporary, export->path) != 0)
        rc = ctl_fail("cannot name the file %s: %s", export->path, strerror(errno));
    if (rc != CTL_OK && export->temporary)
        unlink(export->temporary);
    free(export->temporary);
    return rc;
}

static bool on_record(void *owner, struct slice raw, json_t *value)
{
    struct export *export = owner;

    if (!*get_text(value, "email")) {
        ctl_fail("bearerd sent something that is no account");
        return !(export->failed = true);
    }
    if (export->list)
        fputs(export->records ? ",\n  " : "[\n  ", export->out);
    fwrite(raw.ptr, 1, raw.len, export->out);
    if (!export->list)
        fputc('\n', export->out);
    export->records++;
    return !ferror(export->out);
}

static int run_export(struct export *export, struct api *api, bool secrets)
{
    const char *path = secrets ? "/admin/accounts/export?secrets=true" : "/admin/accounts/export";
    int rc = api_stream(api, "GET", path, NULL, SLICE_NONE, on_record, export);

    if (rc == CTL_FAILED && ferror(export->out))
        return ctl_fail("cannot write: %s", strerror(errno));
    if (rc == CTL_OK && export->list)
        fputs(export->records ? "\n]\n" : "[]\n", export->out);
    return rc;
}

static int to_file(struct export *export, struct api *api, bool secrets)
{
    char count[48];
    int rc = open_file(export);

    if (rc != CTL_OK) {
        free(export->temporary);
        return rc;
    }
    rc = close_file(export, run_export(export, api, secrets));
    out_count(count, sizeof(count), (long long)export->records);
    if (rc == CTL_OK)
        ctl_note("%s accounts are in %s%s", count, export->path,
                 secrets ? ", with their secrets" : "");
    return rc;
}

static int check_output(const struct args *args)
{
    struct stat facts;

    if (!args_has(args, "secrets") || args_has(args, "output"))
        return CTL_OK;
    if (isatty(STDOUT_FILENO))
        return ctl_usage("accounts export: secrets belong on no terminal: use -o FILE");
    if (fstat(STDOUT_FILENO, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_mode & 077)
        ctl_note("others may read the file that the secrets go to: use -o FILE");
    return CTL_OK;
}

int cmd_accounts_export(const struct args *args)
{
    const char *format = args_value(args, "format");
    struct export export = {.out = stdout,
                            .path = args_value(args, "output"),
                            .list = !format || strcmp(format, "json") == 0};
    struct api *api;
    int rc = check_output(args);

    if (rc == CTL_OK)
        rc = api_open(&api, args);
    if (rc != CTL_OK)
        return rc;
    if (export.path) {
        rc = to_file(&export, api, args_has(args, "secrets"));
    } else {
        rc = run_export(&export, api, args_has(args, "secrets"));
        if (rc == CTL_OK)
            rc = out_flush();
    }
    api_close(api);
    return rc;
}
