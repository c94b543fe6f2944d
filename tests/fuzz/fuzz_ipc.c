/* What the broker reads from a relay that has been taken over: any octets. The
 * first octet says how the rest is cut into reads. */
#include <stdlib.h>

#include "ipc/ipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct ipc_message *message)
{
    size_t len;
    unsigned char *frame = ipc_encode(message, &len);

    if (!frame)
        abort(); /* what decodes must encode */
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t step = size ? data[0] + 1u : 1, at = size ? 1 : 0;
    struct ipc_reader reader;

    ipc_reader_init(&reader);
    while (at < size) {
        struct slice part = {(const char *)data + at, step < size - at ? step : size - at};
        struct ipc_message message;
        struct reason why;
        size_t used;
        int rc = ipc_reader_next(&reader, part, &used, &message, &why);

        if (rc < 0)
            break;
        if (rc > 0)
            check_round_trip(&message);
        at += used;
    }
    ipc_reader_clear(&reader);
    return 0;
}
