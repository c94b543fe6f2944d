/* accounts.json as anybody may have written it. What can be parsed can be
 * rewritten, and nothing but the value changes. */
#include <stdlib.h>

#include "broker/store/account_set.h"
#include "fuzz.h"

static struct conf *conf;

/* The first record that has a refresh token, given another one. */
static void check_rewrite(const struct document *document)
{
    struct document_edit edit = {0, "refresh_token", "new \"\\ value"};
    struct document again;
    const json_t *record = NULL;
    size_t len;
    char *text;

    for (; edit.record < document->count; edit.record++) {
        record = json_array_get(document->records, edit.record);
        if (json_object_get(record, "refresh_token"))
            break;
    }
    if (edit.record == document->count)
        return;
    text = document_rewrite(document, &edit, 1, &len, NULL);
    if (!text)
        return; /* a key written with escapes */
    require(document_parse(&again, (struct slice){text, len}, "again", NULL));
    require(again.count == document->count);
    json_object_set_new(json_array_get(document->records, edit.record), "refresh_token",
                        json_string(edit.value));
    require(json_equal(again.root, document->root));
    document_clear(&again);
    free(text);
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
    check_rewrite(&document);
    document_clear(&document);
    return 0;
}
