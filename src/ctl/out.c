#include "ctl/out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/safe.h"

#define LABEL_WIDTH 24
#define WIDTH_MAX 1000

unsigned out_width(int fd)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size;
    uint64_t width;

    if (!isatty(fd))
        return 0;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col)
        return size.ws_col;
    if (columns && slice_to_u64(slice_of(columns), &width) && width && width <= WIDTH_MAX)
        return (unsigned)width;
    return 80;
}

bool out_colours(int fd)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(fd) && !(none && *none) && term && *term && strcmp(term, "dumb") != 0;
}

const char *out_begin(bool colours, enum colour colour)
{
    static const char *const begins[] = {"",         "\033[1m",  "\033[2m",
                                         "\033[32m", "\033[33m", "\033[31m"};

    return colours ? begins[colour] : "";
}

const char *out_end(bool colours, enum colour colour)
{
    return colours && colour != PLAIN ? "\033[0m" : "";
}

static size_t json_flags(void)
{
    return JSON_INDENT(2) | JSON_ENCODE_ANY | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0);
}

void out_json_part(const json_t *value)
{
    json_dumpf(value, stdout, json_flags());
}

int out_json(const json_t *value)
{
    out_json_part(value);
    putchar('\n');
    return out_flush();
}

int out_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return CTL_OK;
    return ctl_fail("cannot write the output: %s", strerror(errno));
}

void out_field(const char *label, const char *value, enum colour colour)
{
    bool colours = out_colours(STDOUT_FILENO);

    char *safe;

    if (!value || !*value)
        return;
    safe = safe_text(slice_of(label));
    printf("  %-*s %s", LABEL_WIDTH, safe ? safe : "?", out_begin(colours, colour));
    free(safe);
    safe_put(stdout, value);
    printf("%s\n", out_end(colours, colour));
}

void out_fieldf(const char *label, const char *format, ...)
{
    char value[512];
    va_list args;

    va_start(args, format);
    vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    out_field(label, value, PLAIN);
}

void out_counter(const char *label, const char *count)
{
    char *safe = safe_text(slice_of(label));

    printf("  %-36s %15s\n", safe ? safe : "?", count);
    free(safe);
}

void out_heading(const char *text)
{
    bool colours = out_colours(STDOUT_FILENO);

    fputs(out_begin(colours, BOLD), stdout);
    safe_put(stdout, text);
    printf("%s\n", out_end(colours, BOLD));
}

void out_line(const char *text)
{
    safe_put(stdout, text);
    putchar('\n');
}

void out_duration(char *out, size_t cap, long long seconds)
{
    long long s = seconds < 0 ? 0 : seconds;

    if (s < 60)
        snprintf(out, cap, "%llds", s);
    else if (s < 3600)
        snprintf(out, cap, "%lldm", s / 60);
    else if (s < 86400)
        snprintf(out, cap, s / 60 % 60 ? "%lldh %lldm" : "%lldh", s / 3600, s / 60 % 60);
    else
        snprintf(out, cap, s / 3600 % 24 ? "%lldd %lldh" : "%lldd", s / 86400, s / 3600 % 24);
}

long long out_time(const char *iso)
{
    struct tm tm = {0};
    const char *rest = strptime(iso, "%Y-%m-%dT%H:%M:%S", &tm);

    if (!rest)
        return -1;
    if (*rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    return strcmp(rest, "Z") == 0 ? (long long)timegm(&tm) : -1;
}

void out_since(char *out, size_t cap, const char *iso, long long now)
{
    long long at = out_time(iso);

    *out = '\0';
    if (at >= 0)
        out_duration(out, cap, now - at);
}

void out_until(char *out, size_t cap, const char *iso, long long now)
{
    long long at = out_time(iso);

    *out = '\0';
    if (at >= 0)
        out_duration(out, cap, at - now);
}

void out_count(char *out, size_t cap, long long value)
{
    char digits[32];
    size_t len = (size_t)snprintf(digits, sizeof(digits), "%lld", value), from = value < 0;
    struct text text;

    text_init(&text, out, cap);
    for (size_t i = 0; i < len; i++) {
        if (i > from && (len - i) % 3 == 0)
            text_add_char(&text, ',');
        text_add_char(&text, digits[i]);
    }
}

enum colour out_state_colour(const char *state)
{
    if (strcmp(state, "active") == 0)
        return GOOD;
    if (strcmp(state, "disabled") == 0)
        return DIM;
    return strcmp(state, "throttled") == 0 || strcmp(state, "parked") == 0 ? WARN : BAD;
}

const char *get_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

long long get_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    double number = json_number_value(value);

    if (json_is_integer(value))
        return json_integer_value(value);
    return number > -9e18 && number < 9e18 ? (long long)number : 0;
}

bool get_bool(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}
