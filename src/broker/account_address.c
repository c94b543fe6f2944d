#include "broker/account_address.h"

#include "base/log.h"
#include "broker/registry.h"

struct address_rules address_rules_of(const struct conf *conf)
{
    return (struct address_rules){.binding = conf->source_ip_binding,
                                  .validate = conf->source_ip_validate,
                                  .use_ipv6 = conf->use_ipv6,
                                  .private_ok = conf->source_ip_private != CONF_OFF,
                                  .private_assign = conf->source_ip_private == CONF_ON};
}

static void hold(struct account *account, enum address_verdict verdict)
{
    char why[ADDRESS_WHY_MAX];

    address_explain(account->record->source_address, verdict, why);
    account_hold(account, HOLD_ADDRESS,
                 verdict == ADDRESS_OK ? ACCOUNT_ACTIVE : ACCOUNT_MISCONFIGURED, 0,
                 verdict == ADDRESS_OK ? NULL : why);
}

void account_address_set(struct account *account)
{
    hold(account, addresses_use(&account->registry->addresses, &account->source,
                                account->record->source_address));
}

void account_address_judged(void *owner, struct address *address)
{
    bool usable = address->verdict == ADDRESS_OK;
    char text[IP_TEXT_MAX];

    (void)owner;
    ip_format(&address->ip, text);
    log_event(usable ? LOG_INFO : LOG_WARN, usable ? "address_usable" : "address_unusable",
              log_s("address", text), log_s("verdict", address_verdict_names[address->verdict]),
              log_u("accounts", address->users.count));
    list_foreach (&address->users, node) {
        struct address_user *user = container_of(node, struct address_user, node);

        hold(container_of(user, struct account, source), address->verdict);
    }
}
