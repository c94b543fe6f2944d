/* With log.console, lines go through a pipe to a thread that writes them to the
 * file and to standard error; else straight to the one place. A file is opened
 * for appending, so that both processes can write it, and a rotation that
 * copies and truncates works.
 */
#include "broker/log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct log_output {
    int fd;   /* to write to */
    int file; /* -1: none */
    int pipe; /* the thread's end, -1: no thread */
    pthread_t thread;
};

static void write_all(int fd, const char *octets, size_t len)
{
    while (len) {
        ssize_t n = write(fd, octets, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nobody can be told */
        octets += n;
        len -= (size_t)n;
    }
}

static void *copy(void *arg)
{
    struct log_output *output = arg;
    char octets[16384];
    ssize_t n;

    while ((n = read(output->pipe, octets, sizeof(octets))) != 0) {
        if (n < 0 && errno != EINTR)
            break;
        if (n < 0)
            continue;
        write_all(output->file, octets, (size_t)n);
        write_all(STDERR_FILENO, octets, (size_t)n);
    }
    return NULL;
}

static bool start_copying(struct log_output *output, struct reason *why)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return reason_set(why, "cannot make a pipe for the log: %s", strerror(errno));
    output->pipe = ends[0];
    output->fd = ends[1];
    if (pthread_create(&output->thread, NULL, copy, output) == 0)
        return true;
    close(ends[0]);
    close(ends[1]);
    return reason_set(why, "cannot start a thread for the log");
}

struct log_output *log_output_open(const struct conf *conf, struct reason *why)
{
    struct log_output *output = calloc(1, sizeof(*output));

    if (!output) {
        reason_set(why, "out of memory");
        return NULL;
    }
    *output = (struct log_output){.fd = STDERR_FILENO, .file = -1, .pipe = -1};
    if (!conf->log_file[0])
        return output;
    output->fd = output->file =
        open(conf->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (output->file < 0) {
        reason_set(why, "log.file: cannot open %s: %s", conf->log_file, strerror(errno));
        free(output);
        return NULL;
    }
    if (conf->log_console && !start_copying(output, why)) {
        close(output->file);
        free(output);
        return NULL;
    }
    return output;
}

int log_output_fd(const struct log_output *output)
{
    return output->fd;
}

void log_output_close(struct log_output *output)
{
    if (!output)
        return;
    if (output->pipe >= 0) {
        close(output->fd);
        pthread_join(output->thread, NULL);
        close(output->pipe);
    }
    if (output->file >= 0)
        close(output->file);
    free(output);
}
