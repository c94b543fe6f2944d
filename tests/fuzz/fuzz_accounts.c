/* accounts.json as anybody may have written it. What can be parsed can be
 * changed, and nothing but what was meant changes. */
#include <stdlib.h>

#include "broker/store/account_set.h"
#include "fuzz.h"

static struct conf *conf;

static void check_again(const struct document *document)
{
    struct document again;
    size_t len, kept = 0;
    char *text = document_write(document, &len);

    require(text != NULL);
    require(document_parse(&again, (struct slice){text, len}, "again", NULL));
    for (size_t i = 0; i < document->count; i++) {
        if (i < document->cap && document->changes[i].removed)
            continue;
        require(json_equal(json_array_get(again.records, kept++),
                           json_array_get(document->records, i)));
    }
    require(again.count == kept);
    /* What stands around the records is as it was. */
    if (document->root != document->records) {
        json_object_set(again.root, "accounts", document->records);
        require(json_equal(again.root, document->root));
    }
    document_clear(&again);
    free(text);
}

/* A record like another one, but for some keys. */
static json_t *changed(const json_t *record, const json_t *other, unsigned what)
{
    json_t *object =
        json_is_object(record) ? json_copy((json_t *)(uintptr_t)record) : json_object();

    if (what & 1)
        json_object_set_new(object, "refresh_token", json_string("new \"\\ value"));
    if (what & 2)
        json_object_del(object, json_object_iter_key(json_object_iter(object)));
    if (what & 4)
        json_object_set_new(object, "retry", json_pack("{s:{s:f,s:[n]}}", "a", "b", 0.1, "c"));
    if (what & 8 && json_is_object(other))
        json_object_update(object, (json_t *)(uintptr_t)other);
    return object;
}

/* The last octets of the input say what is done to which record. */
static void check_changes(struct document *document, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < 6 && i < size; i++) {
        unsigned octet = data[size - 1 - i];
        size_t count = document->count, record = count ? (octet >> 4) % count : 0;
        json_t *object = changed(json_array_get(document->records, record),
                                 json_array_get(document->records, count - 1), octet & 15);
        bool gone = record < document->cap && document->changes[record].removed;

        if (!count || octet % 7 == 0)
            require(document_add(document, object));
        else if (octet % 5 == 0)
            require(document_remove(document, record));
        else if (!gone)
            require(document_set(document, record, object));
        json_decref(object);
    }
    check_again(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct document document;
    struct account_set *set;
    struct reason why;

    if (!conf)
        conf = conf_default();
    if (!document_parse(&document, (struct slice){(const char *)data, size}, "file", &why)) {
        require(why.text[0]);
        return 0;
    }
    set = account_set_new();
    require(set && account_set_read(set, &document, "file", conf));
    account_set_free(set);
    check_changes(&document, data, size);
    document_clear(&document);
    return 0;
}
