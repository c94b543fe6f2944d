#include "ctl/progress.h"

#include <unistd.h>

#include "base/clock.h"
#include "ctl/out.h"

#define REDRAW_MS 100
#define BAR_MAX 40
#define BAR_MIN 5

static void add_bar(struct text *line, const struct progress *progress, size_t room)
{
    uint64_t done = progress->done < progress->total ? progress->done : progress->total;
    size_t width = room < BAR_MAX ? room : BAR_MAX, filled;

    if (room < BAR_MIN)
        return;
    filled = (size_t)((double)done / (double)progress->total * (double)width);
    text_add_str(line, " [");
    for (size_t i = 0; i < width; i++)
        text_add_char(line, i < filled ? '#' : '.');
    text_add_char(line, ']');
}

static void add_time_left(struct text *text, const struct progress *progress, double rate)
{
    char left[32];

    if (rate <= 0 || progress->done >= progress->total)
        return;
    out_duration(left, sizeof(left),
                 (long long)((double)(progress->total - progress->done) / rate));
    text_addf(text, ", %s left", left);
}

static void add_numbers(struct text *text, const struct progress *progress, uint64_t now_ms)
{
    double seconds = (double)(now_ms - progress->started_ms) / 1000;
    double rate = seconds > 0 ? (double)progress->done / seconds : 0;
    char count[48];

    out_count(count, sizeof(count), (long long)progress->done);
    text_addf(text, " %s", count);
    if (progress->total) {
        out_count(count, sizeof(count), (long long)progress->total);
        text_addf(text, "/%s", count);
    }
    if (progress->failed) {
        out_count(count, sizeof(count), (long long)progress->failed);
        text_addf(text, ", %s failed", count);
    }
    if (seconds >= 1)
        text_addf(text, ", %.0f/s", rate);
    if (progress->total)
        add_time_left(text, progress, rate);
}

void progress_format(char *out, size_t cap, const struct progress *progress, uint64_t now_ms)
{
    char numbers[160];
    struct text line, text;
    size_t fixed;

    text_init(&line, out, cap < (size_t)progress->width + 1 ? cap : (size_t)progress->width + 1);
    text_init(&text, numbers, sizeof(numbers));
    add_numbers(&text, progress, now_ms);
    text_add_str(&line, progress->what);
    fixed = strlen(progress->what) + text.len + 3; /* " []" */
    if (progress->total && fixed < progress->width)
        add_bar(&line, progress, progress->width - fixed);
    text_add_str(&line, numbers);
}

void progress_start(struct progress *progress, const char *what, uint64_t total)
{
    unsigned width = out_width(STDERR_FILENO);

    *progress = (struct progress){.out = width ? stderr : NULL,
                                  .width = width ? width - 1 : 0, /* the last one may wrap */
                                  .what = what,
                                  .total = total,
                                  .started_ms = clock_ms()};
}

void progress_show(struct progress *progress)
{
    uint64_t now = clock_ms();
    char line[512];

    if (!progress->out || (progress->shown_ms && now - progress->shown_ms < REDRAW_MS))
        return;
    progress->shown_ms = now;
    progress->shown = true;
    progress_format(line, sizeof(line), progress, now);
    fprintf(progress->out, "\r%s\033[K", line);
    fflush(progress->out);
}

void progress_hide(struct progress *progress)
{
    if (!progress->out || !progress->shown)
        return;
    fputs("\r\033[K", progress->out);
    fflush(progress->out);
    progress->shown = false;
    progress->shown_ms = 0; /* back at once, below what is printed now */
}
