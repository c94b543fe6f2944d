#include "load/report.h"

static double per_message(const struct load_result *result, double seconds)
{
    return result->accepted ? seconds * 1e6 / (double)result->accepted : 0;
}

static double rate_of(const struct load_result *result)
{
    return result->seconds > 0 ? (double)result->accepted / result->seconds : 0;
}

static void list_codes(const struct load_result *result, FILE *out, const char *quote)
{
    const char *before = "";

    for (int code = 0; code < 600; code++) {
        if (!result->by_code[code])
            continue;
        fprintf(out, "%s%s%d%s: %llu", before, quote, code, quote,
                (unsigned long long)result->by_code[code]);
        before = ", ";
    }
}

void report_line(const struct load *load, FILE *out)
{
    const struct load_result *result = &load->result;
    const struct hist *latency = &result->latency;

    fprintf(out, "%llu of %llu accepted in %.2f s: %.0f/s; ms p50 %.3f p90 %.3f p99 %.3f max %.3f",
            (unsigned long long)result->accepted, (unsigned long long)result->sent, result->seconds,
            rate_of(result), (double)hist_percentile(latency, 50) / 1e3,
            (double)hist_percentile(latency, 90) / 1e3, (double)hist_percentile(latency, 99) / 1e3,
            (double)latency->max / 1e3);
    fprintf(out, "; CPU us a message: own %.1f", per_message(result, result->cpu));
    for (size_t i = 0; i < load->options->watched_count; i++)
        fprintf(out, ", %d %.1f", load->options->watched[i],
                per_message(result, result->watched[i]));
    if (result->refused) {
        fputs("; refused ", out);
        list_codes(result, out, "");
    }
    if (load->losses)
        fprintf(out, "; %llu connections lost, last: %s", (unsigned long long)load->losses,
                load->last_loss.text);
    fputc('\n', out);
}

static void json_latency(const struct hist *latency, FILE *out)
{
    static const struct {
        const char *name;
        double percent;
    } points[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p999", 99.9}};

    fprintf(out, "\"latency_us\": {");
    for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++)
        fprintf(out, "\"%s\": %llu, ", points[i].name,
                (unsigned long long)hist_percentile(latency, points[i].percent));
    fprintf(out, "\"max\": %llu, \"mean\": %.1f}, ", (unsigned long long)latency->max,
            latency->count ? (double)latency->sum / (double)latency->count : 0);
}

static void json_watched(const struct load *load, FILE *out)
{
    const struct load_result *result = &load->result;

    fprintf(out, "\"watched\": [");
    for (size_t i = 0; i < load->options->watched_count; i++)
        fprintf(out, "%s{\"pid\": %d, \"cpu_s\": %.6f, \"cpu_us_per_message\": %.3f}",
                i ? ", " : "", load->options->watched[i], result->watched[i],
                per_message(result, result->watched[i]));
    fprintf(out, "]}\n");
}

void report_json(const struct load *load, FILE *out)
{
    const struct load_result *result = &load->result;

    fprintf(out,
            "{\"sent\": %llu, \"accepted\": %llu, \"refused\": %llu, \"lost\": %llu, "
            "\"seconds\": %.6f, \"rate\": %.3f, ",
            (unsigned long long)result->sent, (unsigned long long)result->accepted,
            (unsigned long long)result->refused, (unsigned long long)result->lost, result->seconds,
            rate_of(result));
    fprintf(out, "\"refused_by_code\": {");
    list_codes(result, out, "\"");
    fprintf(out, "}, ");
    json_latency(&result->latency, out);
    fprintf(out,
            "\"connections\": %llu, \"connections_lost\": %llu, \"most_waiting\": %llu, "
            "\"tls\": \"%s\", ",
            (unsigned long long)load->connections, (unsigned long long)load->losses,
            (unsigned long long)result->most_waiting, load->tls_text);
    fprintf(out, "\"cpu_s\": %.6f, \"cpu_us_per_message\": %.3f, ", result->cpu,
            per_message(result, result->cpu));
    json_watched(load, out);
}
