#include "load/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

char *file_read(const char *path, struct reason *why)
{
    FILE *in = fopen(path, "re");
    struct stat status;
    char *text = NULL;
    size_t size;

    if (in && fstat(fileno(in), &status) == 0) {
        size = (size_t)status.st_size;
        text = calloc(1, size + 1);
        if (text && fread(text, 1, size, in) != size) {
            free(text);
            text = NULL;
        }
    }
    if (!text)
        reason_set(why, "cannot read %s: %s", path, strerror(errno));
    if (in)
        fclose(in);
    return text;
}
