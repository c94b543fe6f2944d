/* The request for a check, and its first step. */
#include <inttypes.h>
#include <stdio.h>

#include "broker/admin/accounts.h"
#include "broker/admin/checks.h"
#include "broker/broker.h"

#define CHECKS_MAX 16 /* at once; each has a connection or two */
#define TEXT_MAX 2600
/* Each check asks for a token and logs in, which providers block mailboxes for when it
 * is done too often: some at once, while somebody mends the account, then one a minute.
 * With other settings it begins anew. */
#define QUICK 5
#define EVERY_MS 60000ull

/* --- the account ------------------------------------------------------------------------ */

static void describe(const struct account *account, struct text *text)
{
    const struct account_record *record = account->record;
    const struct hold *hold = account_worst(account);

    text_addf(text, "%s at %s with %s", record->provider, record->endpoint,
              record_grant_names[record->grant]);
    if (strcmp(record->sasl_user, record->email) != 0)
        text_addf(text, ", as %s", record->sasl_user);
    if (record->source_address[0])
        text_addf(text, ", from %s", record->source_address);
    if (!record->password_hash[0])
        text_add_str(text, ", without a password, for trusted clients only");
    text_addf(text, "; %s", account_state_names[hold->state]);
    if (hold->text)
        text_addf(text, ": %s", hold->text);
}

/* What the operator or this host must mend is a fault; what others said before may have
 * changed, and is tried now. */
static void look_at_account(struct check *check)
{
    const struct account *account = check_account(check);
    bool active = account_state(account) == ACCOUNT_ACTIVE;
    bool ours = account->worst == HOLD_OPERATOR || account->worst == HOLD_ADDRESS;
    char line[TEXT_MAX];
    struct text text;

    text_init(&text, line, sizeof(line));
    describe(account, &text);
    check_tell(check, CHECK_ACCOUNT,
               active ? CHECKED_OK
               : ours ? CHECKED_FAILED
                      : CHECKED_WARNING,
               active ? NULL : hint_find(account), line);
    check_token_endpoint(check);
}

/* --- the request ------------------------------------------------------------------------- */

/* Those that nobody reads any more would be in the way. */
static void drop_gone(struct broker *broker)
{
    list_foreach_safe (&broker->checks, node) {
        struct check *check = container_of(node, struct check, node);

        if (admin_gone(check->request))
            check_abandon(check);
    }
}

static bool spend(struct admin_request *request, struct account *account)
{
    uint64_t now = loop_now(&admin_broker(request)->loop), most = (QUICK - 1) * EVERY_MS;
    uint64_t spent = account->checks_spent_ms > now ? account->checks_spent_ms : now;
    uint64_t wait_s = spent - now > most ? (spent - now - most + 999) / 1000 : 0;
    char seconds[24];

    if (!wait_s) {
        account->checks_spent_ms = spent + EVERY_MS;
        return true;
    }
    snprintf(seconds, sizeof(seconds), "%" PRIu64, wait_s);
    admin_header(request, "Retry-After", seconds);
    admin_error(request, 429,
                "this account was checked %d times within minutes, and providers block mailboxes "
                "that log in too often: check again in %s s",
                QUICK, seconds);
    return false;
}

static bool may_begin(struct admin_request *request, struct account *account)
{
    const struct list *checks = &admin_broker(request)->checks;

    drop_gone(admin_broker(request));
    list_foreach (checks, node) {
        if (strcmp(container_of(node, struct check, node)->id, account->record->id) == 0) {
            admin_error(request, 409, "a check of this account is under way already");
            return false;
        }
    }
    if (checks->count < CHECKS_MAX)
        return spend(request, account);
    admin_header(request, "Retry-After", "10");
    admin_error(request, 503, "%d checks are under way already; ask again in a while", CHECKS_MAX);
    return false;
}

void accounts_check(struct admin_request *request)
{
    struct account *account = accounts_find(request);
    struct check *check;

    if (!account || !may_begin(request, account))
        return;
    check = check_new(request, account);
    if (!check) {
        admin_error(request, 500, "out of memory");
        return;
    }
    admin_stream_begin(request, 200, "application/x-ndjson", NULL, NULL);
    check_go_on(check, look_at_account);
}
