/* A configuration file of any octets: it is refused with a reason, or becomes
 * a configuration that its text form carries unchanged. */
#include "conf/conf.h"
#include "fuzz.h"

static void check_round_trip(const struct conf *conf)
{
    size_t len, again_len;
    char *text = conf_write(conf, &len), *again;
    struct reason why;
    struct conf *back = conf_read((struct slice){text, len}, &why);

    require(text && back);
    again = conf_write(back, &again_len);
    require(again && slice_equal((struct slice){text, len}, (struct slice){again, again_len}));
    require(!conf_needs_restart(conf, back));
    free(text);
    free(again);
    conf_free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = exact_copy((struct slice){(const char *)data, size});
    struct conf_notes notes = {NULL, 0, 0};
    struct reason why = {""};
    struct conf *conf = conf_parse(input, "file", &notes, &why);

    exact_free(input);
    require(conf || why.text[0]);
    if (conf) {
        check_round_trip(conf);
        conf_check(conf, &notes, &why);
    }
    conf_notes_clear(&notes);
    conf_free(conf);
    return 0;
}
