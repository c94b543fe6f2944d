/* POST /devicecode, and the page /device where a user types the code. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sim/devices.h"
#include "sim/page.h"
#include "sim/token_request.h"

static bool check(struct token_request *request, const char **scope)
{
    struct slice tenant = request->http->tenant;

    if (tenant.len && !sim_tenant_known(request->sim, tenant))
        return token_fault(&request->fault, "90002", "'%.*s'", (int)tenant.len, tenant.ptr);
    if (!client_identify(request))
        return false;
    *scope = token_need(request, "scope");
    if (!*scope || !token_scope(request, *scope))
        return false;
    /* Google has the device flow for few scopes, and not for mail. */
    return token_is_microsoft(request) ||
           token_fault(&request->fault, "device_scope", "%s", *scope);
}

static void answer(struct token_request *request, const char *scope, struct http_reply *reply)
{
    struct device *device = devices_add(&request->sim->devices, request->client, scope);
    int64_t lives = knob_number(request->knobs, KNOB_DEVICE_EXPIRES_IN, 900);
    int64_t interval = knob_number(request->knobs, KNOB_DEVICE_INTERVAL, 5);
    const char *user = knob_text(request->knobs, KNOB_DEVICE_AUTO, NULL);
    char origin[256], uri[264], message[400];
    json_t *body;

    device->expires_ms = clock_wall_ms() + (uint64_t)lives * 1000;
    device->interval_ms = (uint64_t)interval * 1000;
    if (user)
        device_answer(device, accounts_find(&request->sim->accounts, slice_of(user)));
    http_origin(request->http, origin, sizeof(origin));
    snprintf(uri, sizeof(uri), "%s/device", origin);
    snprintf(message, sizeof(message),
             "To sign in, use a web browser to open the page %s and enter the code %s to "
             "authenticate.",
             uri, device->user_code);
    body = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}", "user_code", device->user_code,
                     "device_code", device->code, "verification_uri", uri, "expires_in",
                     (json_int_t)lives, "interval", (json_int_t)interval, "message", message);
    reply->body = json_dumps(body, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(body);
}

void http_devicecode(const struct http_request *http, struct http_reply *reply)
{
    struct token_request request;
    const char *scope = NULL;

    token_request_init(&request, http);
    request.profile = token_profile(&request);
    request.knobs = sim_token_scope(http->sim, request.client, NULL);
    if (check(&request, &scope))
        answer(&request, scope, reply);
    else
        token_error(http->sim, &request.fault, request.profile, reply);
    token_request_clear(&request);
}

static void show_page(const struct http_request *http, const char *user_code, const char *wrong,
                      struct http_reply *reply)
{
    const struct device *device = devices_find_user_code(&http->sim->devices, user_code);
    const struct profile *profile = device ? device->client->profile : &profile_m365;
    struct page page;

    page_begin(&page, "Enter code");
    if (*wrong) {
        fputs("<p id=\"error\">", page.out);
        page_text(&page, wrong);
        fputs("</p>\n", page.out);
    }
    fputs("<form id=\"consent\" method=\"post\" action=\"/device\">\n<label>Code <input "
          "id=\"user_code\" name=\"user_code\" autocomplete=\"off\" value=\"",
          page.out);
    page_text(&page, user_code);
    fputs("\"></label><br>\n", page.out);
    page_users(&page, http->sim, profile, "");
    page_buttons(&page);
    fputs("</form>\n", page.out);
    page_end(&page, reply);
}

static const char *take(struct sim *sim, const char *user_code, const char *email,
                        const char *action)
{
    struct device *device = *user_code ? devices_find_user_code(&sim->devices, user_code) : NULL;
    struct account *account = accounts_find(&sim->accounts, slice_of(email));
    bool allowed = strcmp(action, "allow") == 0;

    if (!device || device->state != DEVICE_PENDING || device->expires_ms <= clock_wall_ms())
        return "That code didn't work. Check the code and try again.";
    if (allowed && (!account || account->profile != device->client->profile))
        return "There is no such account.";
    device_answer(device, allowed ? account : NULL);
    return NULL;
}

void http_device(const struct http_request *http, struct http_reply *reply)
{
    char *user_code = http_parameter(http, "user_code"), *email = http_parameter(http, "user");
    char *action = http_parameter(http, "action");
    bool post = strcmp(http->method, "POST") == 0;
    const char *wrong = post ? take(http->sim, user_code, email, action) : "";

    if (wrong)
        show_page(http, user_code, wrong, reply);
    else
        page_say(reply, strcmp(action, "allow") == 0 ? "You have signed in" : "You have declined",
                 "message", "You may now close this window.");
    free(user_code);
    free(email);
    free(action);
}
