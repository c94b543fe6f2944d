/* What bearerctl reads: lines of answers, records of files, and any text on its
 * way to a terminal. Pieces of any size give what the whole gives; what JSON
 * accepts as a list of objects comes out as those objects. */
#include "ctl/ndjson.h"
#include "ctl/records.h"
#include "ctl/safe.h"
#include "fuzz.h"

struct seen {
    json_t *values;
};

static bool keep_line(void *owner, struct slice line, json_t *value)
{
    struct seen *seen = owner;

    require(line.len && json_is_object(value));
    json_array_append(seen->values, value);
    return true;
}

static bool keep_record(void *owner, json_t *record, unsigned long long line)
{
    struct seen *seen = owner;

    require(line > 0 && json_is_object(record));
    json_array_append(seen->values, record);
    return true;
}

static bool read_lines(struct slice in, size_t step, struct seen *seen)
{
    struct ndjson reader = {NULL, 0, 0, 0};
    struct reason why = {""};
    bool good = true;

    seen->values = json_array();
    while (good && in.len) {
        struct slice piece = exact_copy(take_piece(&in, step));

        good = ndjson_feed(&reader, piece, keep_line, seen, &why);
        exact_free(piece);
    }
    good = good && ndjson_finish(&reader, keep_line, seen, &why);
    require(good == !why.text[0]);
    ndjson_clear(&reader);
    return good;
}

static bool read_records(struct slice in, size_t step, struct seen *seen)
{
    struct records records = {RECORDS_BEGIN};
    struct reason why = {""};
    bool good = true;

    seen->values = json_array();
    while (good && in.len) {
        struct slice piece = exact_copy(take_piece(&in, step));

        good = records_feed(&records, piece, keep_record, seen, &why);
        exact_free(piece);
    }
    good = good && records_finish(&records, &why);
    require(good == !why.text[0]);
    records_clear(&records);
    return good;
}

static void same_in_pieces(struct slice in, size_t step,
                           bool (*reader)(struct slice, size_t, struct seen *))
{
    struct seen whole, pieces;

    require(reader(in, SIZE_MAX, &whole) == reader(in, step, &pieces));
    require(json_equal(whole.values, pieces.values));
    json_decref(whole.values);
    json_decref(pieces.values);
}

static bool all_objects(const json_t *list)
{
    const json_t *one;
    size_t index;

    json_array_foreach(list, index, one)
    {
        if (!json_is_object(one))
            return false;
    }
    return json_is_array(list);
}

/* Against the parser of the library. */
static void check_list(struct slice in)
{
    json_t *root = json_loadb(in.ptr, in.len, JSON_REJECT_DUPLICATES, NULL), *list = root;
    struct seen seen;
    bool good = read_records(in, SIZE_MAX, &seen);

    /* We know the key "accounts" as it is usually written only: without escapes. */
    if (in.len && memchr(in.ptr, '\\', in.len)) {
        json_decref(root);
        root = list = NULL;
    }
    if (json_is_object(root) && json_is_array(json_object_get(root, "accounts")))
        list = json_object_get(root, "accounts");
    if (root && all_objects(list))
        require(good && json_equal(list, seen.values));
    else if (json_is_object(root) && list == root)
        require(good && json_array_size(seen.values) == 1 &&
                json_equal(root, json_array_get(seen.values, 0)));
    json_decref(seen.values);
    json_decref(root);
}

/* No octet that a terminal acts on, and the same again when made safe twice. */
static void check_safe(struct slice in)
{
    char *safe = safe_text(in), *again;
    struct slice cut;

    for (const char *c = safe; *c; c++)
        require((unsigned char)*c >= 0x20 && *c != 0x7f);
    again = safe_text(slice_of(safe));
    require(strcmp(safe, again) == 0);
    cut = safe_cut(slice_of(safe), in.len / 2);
    require(is_within(cut, slice_of(safe)) && safe_width(cut) <= in.len / 2);
    free(safe);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = {(const char *)data, size};
    size_t step = take_octet(&in) % 16 + 1;

    same_in_pieces(in, step, read_lines);
    same_in_pieces(in, step, read_records);
    check_list(in);
    check_safe(in);
    return 0;
}
