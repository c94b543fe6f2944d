/* A path that is taken is made of what it says, lies in the input, and reads
 * the same when it is written again. */
#include "fuzz.h"
#include "smtp/address.h"

static void check_parts(const struct address *address, struct slice input)
{
    require(is_within(address->mailbox, input) && address->mailbox.len <= ADDRESS_MAX);
    require(is_within(address->local, address->mailbox));
    require(address->local.len <= ADDRESS_LOCAL_MAX);
    require(is_within(address->domain, address->mailbox));
    require(address->domain.len <= ADDRESS_DOMAIN_MAX);
    if (address->domain.len)
        require(address->mailbox.len == address->local.len + 1 + address->domain.len);
    for (size_t i = 0; i < address->mailbox.len; i++) {
        unsigned char c = (unsigned char)address->mailbox.ptr[i];

        require(c >= 32 && c != 127 && (c < 128 || address->utf8));
    }
}

static void check_again(const struct address *address, enum path_kind kind)
{
    char memory[ADDRESS_MAX + 3];
    struct text path;
    struct slice text;
    struct address again;

    text_init(&path, memory, sizeof(memory));
    text_add_char(&path, '<');
    text_add_slice(&path, address->mailbox);
    text_add_char(&path, '>');
    text = (struct slice){memory, path.len};
    require(address_parse_path(&text, kind, &again, NULL) && !text.len);
    require(slice_equal(again.mailbox, address->mailbox));
    require(slice_equal(again.local, address->local));
    require(again.utf8 == address->utf8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, size};

    for (enum path_kind kind = PATH_REVERSE; kind <= PATH_FORWARD; kind++) {
        struct slice text = input;
        struct address address;
        struct reason why = {""};

        if (address_parse_path(&text, kind, &address, &why)) {
            require(is_within(text, input) && text.len < input.len);
            check_parts(&address, input);
            check_again(&address, kind);
        } else {
            require(slice_equal(text, input) && why.text[0]);
        }
    }
    address_is_mailbox(input);
    return 0;
}
