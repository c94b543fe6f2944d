/* The file of API tokens. */
#include <sodium.h>

#include "broker/admin/api_tokens.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = exact_copy((struct slice){(const char *)data, size});
    struct api_tokens tokens;
    struct reason why;

    if (api_tokens_parse(&tokens, text, "file", &why)) {
        require(tokens.count <= API_TOKENS_MAX);
        for (size_t i = 0; i < tokens.count; i++) {
            require(api_token_name_ok(tokens.items[i].name));
            require(api_tokens_by_name(&tokens, tokens.items[i].name) == &tokens.items[i]);
        }
        require(api_tokens_find(&tokens, text) == NULL);
    } else {
        require(tokens.count == 0 && strncmp(why.text, "file:", 5) == 0);
    }
    api_tokens_clear(&tokens);
    exact_free(text);
    return 0;
}
