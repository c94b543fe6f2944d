#include "broker/oauth/gate.h"

#include <sodium.h>
#include <stdlib.h>

#include "broker/account.h"

/* How long others wait for a probe's answer before they look again. */
#define PROBE_WAIT_MS 2000
#define HASTE_MS 10000

/* Slower when ten of ten answers are throttled, or more than a tenth over a longer time. */
#define THROTTLE_WEIGHT 9
#define THROTTLE_LIMIT 90
#define GAP_MIN_MS 8
#define GAP_MAX_MS 1000
#define PAUSE_MAX_MS 10000 /* those that were told longer wait longer by themselves */
#define CONTENT 200        /* successes until it goes faster, by an eighth */
#define LATE_MAX_MS 500    /* what was missed is made up for, but not more */

static const struct {
    enum account_state state;
    unsigned failures; /* that close it */
    uint64_t probe_ms, probe_max_ms;
} kinds[GATES] = {
    [GATE_ENDPOINT] = {ACCOUNT_THROTTLED, 8, 1000, 30000},
    [GATE_APP] = {ACCOUNT_MISCONFIGURED, 2, 300000, 3600000},
};

enum account_state gate_state(enum gate_kind kind)
{
    return kinds[kind].state;
}

static void add_key(crypto_generichash_state *hash, struct slice text)
{
    uint64_t len = text.len; /* so that no two lists of texts look alike */

    crypto_generichash_update(hash, (const unsigned char *)&len, sizeof(len));
    crypto_generichash_update(hash, (const unsigned char *)text.ptr, text.len);
}

/* A domain of Google Workspace allows a service account, or does not: that is the
 * domain's affair alone. */
static struct slice domain_of(const struct account_record *record)
{
    const char *at = strrchr(record->sasl_user, '@');

    return slice_of(record->grant == GRANT_SERVICE_ACCOUNT && at ? at + 1 : "");
}

static void add_app(crypto_generichash_state *hash, const struct account_record *record)
{
    add_key(hash, slice_of(record->token_url));
    add_key(hash, slice_of(record_grant_names[record->grant]));
    add_key(hash, slice_of(record->client_id));
    add_key(hash, slice_of(record->client_secret));
    if (record->key)
        add_key(hash, (struct slice){(const char *)record->key->digest, SIGNING_KEY_DIGEST});
    add_key(hash, slice_of(record->scope));
    add_key(hash, slice_of(record->extra));
    add_key(hash, domain_of(record));
}

static void make_key(enum gate_kind kind, const struct account_record *record,
                     unsigned char key[GATE_KEY_BYTES])
{
    crypto_generichash_state hash;

    crypto_generichash_init(&hash, NULL, 0, GATE_KEY_BYTES);
    if (kind == GATE_ENDPOINT)
        add_key(&hash, url_origin(record->token_url));
    else
        add_app(&hash, record);
    crypto_generichash_final(&hash, key, GATE_KEY_BYTES);
}

static struct gate *find_or_make(struct tokens *tokens, enum gate_kind kind,
                                 const struct account_record *record)
{
    unsigned char key[GATE_KEY_BYTES];
    struct gate *gate;

    make_key(kind, record, key);
    HASH_FIND(hh, tokens->gates[kind], key, GATE_KEY_BYTES, gate);
    if (gate)
        return gate;
    gate = calloc(1, sizeof(*gate));
    if (!gate)
        return NULL;
    gate->kind = kind;
    memcpy(gate->key, key, GATE_KEY_BYTES);
    list_init(&gate->accounts);
    list_init(&gate->queued);
    list_init(&gate->urgent);
    if (kind == GATE_ENDPOINT)
        gate->clock = clocks_of(&tokens->clocks, record->token_url);
    HASH_ADD(hh, tokens->gates[kind], key, GATE_KEY_BYTES, gate);
    return gate;
}

bool gates_join(struct tokens *tokens, struct account *account)
{
    for (size_t kind = 0; kind < GATES; kind++) {
        struct gate *gate = find_or_make(tokens, (enum gate_kind)kind, account->record);

        if (!gate) {
            gates_leave(tokens, account);
            return false;
        }
        account->token.gates[kind] = gate;
        list_push_tail(&gate->accounts, &account->token.gate_nodes[kind]);
    }
    return true;
}

static void leave(struct tokens *tokens, struct gate *gate, struct account *account)
{
    account->token.gates[gate->kind] = NULL;
    list_remove(&gate->accounts, &account->token.gate_nodes[gate->kind]);
    if (gate->witness == account)
        gate->witness = NULL;
    if (gate->throttled == account)
        gate->throttled = NULL;
    gate_untold(gate, account);
    if (!list_empty(&gate->accounts))
        return;
    tokens->gates_closed[gate->kind] -= gate->closed;
    HASH_DEL(tokens->gates[gate->kind], gate);
    free(gate);
}

void gates_leave(struct tokens *tokens, struct account *account)
{
    for (size_t kind = 0; kind < GATES; kind++) {
        if (account->token.gates[kind])
            leave(tokens, account->token.gates[kind], account);
    }
}

static bool may_ask(const struct gate *gate, const struct account *account, uint64_t now_ms,
                    uint64_t *wait_ms)
{
    if (!gate->closed)
        return true;
    *wait_ms = PROBE_WAIT_MS;
    if (now_ms < gate->next_probe_ms)
        *wait_ms = gate->next_probe_ms - now_ms;
    return now_ms >= gate->next_probe_ms && (!gate->prober || gate->prober == account);
}

struct gate *gates_ask(struct account *account, uint64_t now_ms, uint64_t *wait_ms)
{
    for (size_t kind = 0; kind < GATES; kind++) {
        if (!may_ask(account->token.gates[kind], account, now_ms, wait_ms))
            return account->token.gates[kind];
    }
    for (size_t kind = 0; kind < GATES; kind++) {
        if (account->token.gates[kind]->closed)
            account->token.gates[kind]->prober = account;
    }
    return NULL;
}

/* One that fails all the same is not to make the others' time longer. */
void gates_hasten(const struct account *account, uint64_t now_ms)
{
    for (size_t kind = 0; kind < GATES; kind++) {
        struct gate *gate = account->token.gates[kind];

        if (!gate || !gate->closed || now_ms >= gate->next_probe_ms ||
            now_ms < gate->refused_ms + HASTE_MS)
            continue;
        gate->next_probe_ms = now_ms;
        gate->probes -= gate->probes > 0;
    }
}

static uint64_t probe_delay(const struct gate *gate)
{
    uint64_t delay = kinds[gate->kind].probe_ms;

    for (unsigned i = 0; i < gate->probes && delay < kinds[gate->kind].probe_max_ms; i++)
        delay *= 2;
    return delay < kinds[gate->kind].probe_max_ms ? delay : kinds[gate->kind].probe_max_ms;
}

bool gate_refused(struct gate *gate, struct account *account, uint64_t now_ms, const char *text)
{
    bool was_closed = gate->closed;

    gate_untold(gate, account);
    slice_copy(slice_of(text), gate->text, sizeof(gate->text));
    gate->failures++;
    gate->refused_ms = now_ms;
    gate->several = gate->several || (gate->witness && gate->witness != account);
    gate->witness = account;
    gate->closed = gate->closed || (gate->several && gate->failures >= kinds[gate->kind].failures);
    if (!gate->closed)
        return false;
    account->token.tokens->gates_closed[gate->kind] += !was_closed;
    /* Requests that were under way when it closed are no probes. */
    if (!was_closed || now_ms >= gate->next_probe_ms) {
        gate->next_probe_ms = now_ms + probe_delay(gate);
        gate->probes++;
    }
    return !was_closed;
}

bool gate_throttled(struct gate *endpoint, struct account *account, uint64_t now_ms,
                    uint64_t pause_ms)
{
    if (now_ms < endpoint->paused_until_ms) /* they were on their way */
        return false;
    if (endpoint->throttled != account)
        endpoint->throttles += THROTTLE_WEIGHT;
    endpoint->throttled = account;
    if (endpoint->throttles < THROTTLE_LIMIT)
        return false;
    endpoint->throttles = endpoint->content = 0;
    endpoint->gap_ms += endpoint->gap_ms / 2 + (endpoint->gap_ms ? 0 : GAP_MIN_MS);
    if (endpoint->gap_ms > GAP_MAX_MS)
        endpoint->gap_ms = GAP_MAX_MS;
    endpoint->paused_until_ms = now_ms + (pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS);
    endpoint->next_at_ms = endpoint->paused_until_ms;
    return true;
}

uint64_t gate_pace(const struct gate *endpoint, uint64_t now_ms)
{
    return endpoint->next_at_ms > now_ms ? endpoint->next_at_ms - now_ms : 0;
}

void gate_paced(struct gate *endpoint, uint64_t now_ms)
{
    if (!endpoint->gap_ms)
        return;
    if (endpoint->next_at_ms + LATE_MAX_MS < now_ms)
        endpoint->next_at_ms = now_ms - LATE_MAX_MS;
    endpoint->next_at_ms += endpoint->gap_ms;
}

static void relax(struct gate *endpoint)
{
    endpoint->throttles -= endpoint->throttles > 0;
    if (!endpoint->gap_ms || ++endpoint->content < CONTENT)
        return;
    endpoint->content = 0;
    endpoint->gap_ms -= endpoint->gap_ms / 8 + 1;
    if (endpoint->gap_ms < GAP_MIN_MS)
        endpoint->gap_ms = endpoint->next_at_ms = 0;
}

bool gate_accepted(struct gate *gate, struct account *account)
{
    bool was_closed = gate->closed;

    relax(gate);
    gate_untold(gate, account);
    account->token.tokens->gates_closed[gate->kind] -= was_closed;
    gate->closed = gate->several = false;
    gate->witness = NULL;
    gate->failures = gate->probes = 0;
    return was_closed;
}

void gate_untold(struct gate *gate, struct account *account)
{
    if (gate->prober == account)
        gate->prober = NULL;
}
