/* Prints the tables for tools/option-docs, which writes the manual pages from
 * them; with --read, the options that the file on standard input sets. Not
 * installed. */
#include <stdio.h>
#include <stdlib.h>

#include "conf/cli.h"
#include "conf/options.h"

static void print_option(const struct conf_option_info *info, void *arg)
{
    (void)arg;
    printf("option\t%s\t%s\t%s\t%s\t%s\t%s\n", info->name, info->type, info->default_text,
           info->range, info->reloadable ? "reload" : "restart", info->help);
}

static void print_flag(const struct cli_flag_info *info, void *arg)
{
    (void)arg;
    printf("flag\t%s\t%s\t%s\t%s\n", info->name, info->value ? info->value : "",
           info->variable ? info->variable : "", info->help);
}

static void print_originals(const char *prefix, const struct original_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (keys[i].option || keys[i].note)
            printf("original\t%s%s\t%s%s\t%s\n", prefix, keys[i].name, keys[i].option ? prefix : "",
                   keys[i].option ? keys[i].option : "", keys[i].note ? keys[i].note : "");
    }
}

static int print_tables(void)
{
    conf_options(print_option, NULL);
    cli_flags(print_flag, NULL);
    print_originals("", original_keys, original_key_count);
    print_originals("providers.NAME.", original_provider_keys, original_provider_key_count);
    return fflush(stdout) == 0 ? 0 : 1;
}

static int print_file(void)
{
    struct reason why;
    struct conf *conf = conf_load("/dev/stdin", NULL, &why);
    char *text;
    size_t len;

    if (!conf) {
        fprintf(stderr, "%s\n", why.text);
        return 1;
    }
    text = conf_write(conf, &len);
    conf_free(conf);
    if (!text)
        return 1;
    fwrite(text, 1, len, stdout);
    free(text);
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "--read") == 0 ? print_file() : print_tables();
}
