/* What a token endpoint, or whoever sits in its place, answers. The first octet
 * chooses the status, the second how long Retry-After is. */
#include <stdlib.h>

#include "broker/oauth/response.h"
#include "fuzz.h"

static void check_text(const char *text)
{
    for (; *text; text++)
        require(*text >= 32 && *text < 127);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const long statuses[] = {200, 400, 401, 403, 429, 500, 302, 0};
    struct oauth_answer answer = {.wall_ms = 1767225600000u};
    struct oauth_response response;
    size_t retry;

    if (size < 2)
        return 0;
    answer.status = statuses[data[0] % 8];
    retry = data[1] < size - 2 ? data[1] : size - 2;
    answer.retry_after = (struct slice){(const char *)data + 2, retry};
    answer.body = (struct slice){(const char *)data + 2 + retry, size - 2 - retry};
    oauth_response_read(&response, &answer);
    require((response.class_ == OAUTH_OK) == (response.access_token != NULL));
    require(response.class_ == OAUTH_OK || !response.refresh_token);
    require(response.retry_after_ms <= 86400000);
    check_text(response.text);
    check_text(response.error);
    oauth_response_mask(&response, "secret");
    oauth_response_clear(&response);
    return 0;
}
