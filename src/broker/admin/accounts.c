/* /admin/accounts. */
#include "broker/admin/routes.h"
#include "broker/broker.h"

static json_t *item(const struct account *account)
{
    const struct account_record *record = account->record;

    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b}", "account_id", record->id, "email",
                     record->email, "ip_address", record->source_address, "vmta_name",
                     record->vmta_name, "provider", record->provider, "oauth_endpoint",
                     record->endpoint, "oauth_token_url", record->token_url, "state",
                     account_state_names[account_state(account)], "disabled", record->disabled);
}

static void list_accounts(struct admin_request *request)
{
    const struct registry *registry = &admin_broker(request)->registry;
    json_t *list = json_array();
    struct account *account, *next;

    HASH_ITER (by_id, registry->ids, account, next) {
        json_array_append_new(list, item(account));
    }
    admin_reply(request, 200,
                json_pack("{s:b,s:I,s:o}", "success", 1, "total_accounts",
                          (json_int_t)registry_count(registry), "accounts", list));
}

const struct admin_route admin_account_routes[] = {
    {"GET", "/admin/accounts", ADMIN_READ, 0, list_accounts, "All accounts", NULL},
    {NULL},
};
