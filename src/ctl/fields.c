#include "ctl/fields.h"

#include <string.h>

#define NUMBER_MAX 1000000u

static const struct {
    const char *option, *key;
    bool number;
} fields[] = {
#define FIELD_ROW(option, value, words, key, number, help) {option, key, number},
    RECORD_FIELDS(FIELD_ROW)
#undef FIELD_ROW
};

/* "group.key" stands within an object, which is made when it is not there. */
static int put(json_t *record, const char *key, json_t *value)
{
    const char *dot = strchr(key, '.');
    char group[64];
    json_t *object = record;

    if (dot) {
        slice_copy((struct slice){key, (size_t)(dot - key)}, group, sizeof(group));
        object = json_object_get(record, group);
        if (!json_is_object(object)) {
            object = json_object();
            json_object_set_new(record, group, object);
        }
        key = dot + 1;
    }
    return json_object_set_new(object, key, value) == 0 ? CTL_OK : ctl_fail("out of memory");
}

static int apply(const struct args *args, json_t *record, size_t index, const char *value)
{
    uint64_t number;

    if (!fields[index].number) {
        json_t *text = json_string(value);

        return text ? put(record, fields[index].key, text)
                    : ctl_usage("--%s is no UTF-8", fields[index].option);
    }
    if (!args_number(args, fields[index].option, 1, NUMBER_MAX, 0, &number))
        return CTL_USAGE;
    return put(record, fields[index].key, json_integer((json_int_t)number));
}

int fields_apply(const struct args *args, json_t *record, bool nulls)
{
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        const char *value = args_value(args, fields[i].option);
        int rc = CTL_OK;

        if (value && *value)
            rc = apply(args, record, i, value);
        else if (value && nulls)
            rc = put(record, fields[i].key, json_null());
        else if (value)
            json_object_del(record, fields[i].key);
        if (rc != CTL_OK)
            return rc;
    }
    return CTL_OK;
}
