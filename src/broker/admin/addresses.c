/* /admin/addresses: the addresses of this machine, and those that accounts name. */
#include "broker/admin/handlers.h"
#include "broker/broker.h"

struct lists {
    json_t *present, *missing;
};

static void add_address(void *owner, const struct address_info *info)
{
    struct lists *lists = owner;
    json_t *item =
        json_pack("{s:s,s:I}", "address", info->text, "accounts", (json_int_t)info->accounts);

    json_object_set_new(item, "why", info->why[0] ? json_string(info->why) : json_null());
    if (info->present)
        json_object_set_new(item, "usable", json_boolean(info->usable));
    json_array_append_new(info->present ? lists->present : lists->missing, item);
}

void addresses_show(struct admin_request *request)
{
    struct lists lists = {json_array(), json_array()};

    addresses_each(&admin_broker(request)->registry.addresses, add_address, &lists);
    admin_reply(request, 200,
                json_pack("{s:b,s:o,s:o}", "success", 1, "addresses", lists.present, "missing",
                          lists.missing));
}
