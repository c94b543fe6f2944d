/* /openapi.json: doc/openapi.json, which the build puts into the program. */
#include "broker/admin/handlers.h"
#include "broker/admin/openapi_text.h"

void openapi_show(struct admin_request *request)
{
    admin_reply_text(request, 200, "application/json; charset=utf-8",
                     (struct slice){(const char *)openapi_text, openapi_len});
}
