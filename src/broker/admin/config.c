/* /admin/config: each option, its value, and where that comes from. No option holds
 * a secret: secrets are in files, which options name. */
#include "broker/admin/handlers.h"
#include "broker/broker.h"

static void add_option(const struct conf_value_info *info, void *arg)
{
    json_t *option = json_pack(
        "{s:s,s:s,s:s,s:s,s:o,s:b}", "name", info->name, "value", info->value, "default",
        info->default_text, "origin", conf_origin_names[info->origin.kind], "line",
        info->origin.kind == CONF_FILE ? json_integer((json_int_t)info->origin.line) : json_null(),
        "reloadable", info->reloadable);

    json_array_append_new(arg, option);
}

void config_show(struct admin_request *request)
{
    const struct broker *broker = admin_broker(request);
    json_t *options = json_array();

    if (!conf_values(broker->setup->conf, add_option, options)) {
        json_decref(options);
        admin_error(request, 500, "out of memory");
        return;
    }
    admin_reply(request, 200,
                json_pack("{s:b,s:s,s:s,s:o}", "success", 1, "file", broker->setup->config_path,
                          "store", broker->accounts_path, "options", options));
}
