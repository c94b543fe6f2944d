/* Replaced refresh tokens on their way to the disk. A saving outlives its
 * account: what the endpoint gave out must reach the store even when the
 * account is removed or changed meanwhile. */
#include <stdlib.h>

#include "base/log.h"
#include "broker/oauth/token_private.h"
#include "broker/store/stale.h"
#include "broker/wipe.h"

#define AGAIN_MS 1000
#define AGAIN_MAX_MS 60000

struct saving {
    struct store_save save;
    struct store_access kept; /* the access token beside it */
    struct tokens *tokens;
    struct account *account; /* NULL: it is gone, or has other credentials */
    char *id, *expected, *token;
    char *access; /* NULL: it is published already */
    uint64_t life_ms, came_ms;
};

static void free_saving(struct saving *saving)
{
    free(saving->id);
    secret_free(&saving->expected);
    secret_free(&saving->token);
    secret_free(&saving->access);
    free(saving);
}

/* In memory only: loud, and tried again until it works. */
static void keep_unsaved(struct token *token, const char *value)
{
    char *copy = slice_dup(slice_of(value));
    struct tokens *tokens = token->tokens;

    if (!copy)
        return;
    secret_free(&token->unsaved);
    token->unsaved = copy;
    if (!list_node_linked(&token->unsaved_node))
        list_push_tail(&tokens->unsaved, &token->unsaved_node);
    if (!timer_active(&tokens->save_timer))
        loop_timer_set(tokens->loop, &tokens->save_timer, tokens->save_delay_ms);
}

void saving_retake(struct account *account, const char *newest)
{
    log_event(LOG_WARN, "refresh_token_superseded", log_s("account", account->record->id),
              log_s("text", "a refresh token that the endpoint has replaced came back: the newer "
                            "one is stored again"));
    keep_unsaved(&account->token, newest);
}

static void forget_unsaved(struct token *token)
{
    secret_free(&token->unsaved);
    if (list_node_linked(&token->unsaved_node))
        list_remove(&token->tokens->unsaved, &token->unsaved_node);
}

/* A newer one may have come while this one was being saved. */
static void take_result(struct saving *saving)
{
    struct token *token = &saving->account->token;
    struct account_record *record = saving->account->record;
    bool newer = token->unsaved && strcmp(token->unsaved, saving->token) != 0;

    if (saving->save.status == STORE_FAILED) {
        if (!token->unsaved)
            keep_unsaved(token, saving->token);
        return;
    }
    if (saving->save.status == STORE_OK && record_set_refresh_token(record, saving->token))
        saving->tokens->save_delay_ms = AGAIN_MS;
    if (!newer)
        forget_unsaved(token);
    if (saving->save.status != STORE_GONE || newer)
        return;
    if (strcmp(saving->id, record->id) != 0) /* it was given another id meanwhile */
        keep_unsaved(token, saving->token);
    else /* until a reload removes the account */
        token->unsaved = slice_dup(slice_of(saving->token));
}

static void log_result(const struct saving *saving)
{
    const struct store_save *save = &saving->save;

    if (save->status == STORE_OK)
        log_event(LOG_DEBUG, "refresh_token_saved", log_s("account", saving->id));
    else
        log_event(LOG_ERROR, "refresh_token_not_saved", log_s("account", saving->id),
                  log_s("reason", save->why.text), log_b("lost", !saving->account));
}

static void take_saved(struct saving *saving)
{
    struct account *account = saving->account;
    char *access = saving->access;

    account->token.saving = NULL;
    saving->access = NULL;
    take_result(saving);
    if (account->token.outdated && account->token.phase == TOKEN_SAVING) {
        secret_free(&access);
        token_restart(account);
    } else if (access) {
        token_publish(account, access, saving->life_ms, saving->came_ms,
                      saving->save.status == STORE_OK);
    }
}

static void on_saved(struct store_save *save)
{
    struct saving *saving = container_of(save, struct saving, save);
    struct tokens *tokens = saving->tokens;
    struct account *account = saving->account;

    tokens->saves_running--;
    tokens->stats.saves++;
    tokens->stats.save_failures += save->status != STORE_OK;
    log_result(saving);
    if (account)
        take_saved(saving);
    /* Stored for an account that is gone: the one with its id now has an older one. */
    if (save->status == STORE_CHANGED || save->status == STORE_GONE ||
        (save->status == STORE_OK && !account))
        tokens->store_changed(tokens);
    free_saving(saving);
}

static struct saving *new_saving(struct account *account, const char *refresh_token)
{
    struct saving *saving = calloc(1, sizeof(*saving));

    if (!saving)
        return NULL;
    saving->tokens = account->token.tokens;
    saving->id = slice_dup(slice_of(account->record->id));
    saving->expected = slice_dup(slice_of(account->record->refresh_token));
    saving->token = slice_dup(slice_of(refresh_token));
    if (!saving->id || !saving->expected || !saving->token) {
        free_saving(saving);
        return NULL;
    }
    saving->account = account;
    return saving;
}

static void submit(struct saving *saving)
{
    struct tokens *tokens = saving->tokens;

    saving->save.id = saving->id;
    saving->save.expected = saving->expected;
    saving->save.token = saving->token;
    saving->save.done = on_saved;
    if (saving->access) {
        kept_fill(saving->account, saving->token, saving->life_ms, saving->life_ms, &saving->kept);
        saving->kept.id = saving->id;
        saving->kept.value = saving->access;
        saving->save.access = &saving->kept;
    }
    saving->account->token.saving = saving;
    tokens->saves_running++;
    tokens->store->ops->save_token(tokens->store, &saving->save);
}

bool saving_begin(struct account *account, const char *refresh_token, char *access,
                  uint64_t life_ms)
{
    struct token *token = &account->token;
    struct saving *saving = token->saving ? NULL : new_saving(account, refresh_token);

    token_supersede(account, token_newest_refresh_token(account));
    if (!saving) {
        /* Out of memory, or an older one is still being tried. */
        keep_unsaved(token, refresh_token);
        return false;
    }
    forget_unsaved(token);
    saving->access = access;
    saving->life_ms = life_ms;
    saving->came_ms = loop_now(token->tokens->loop);
    token_move(token, TOKEN_SAVING);
    submit(saving);
    return true;
}

void saving_forget(struct token *token)
{
    if (token->saving)
        token->saving->account = NULL;
    token->saving = NULL;
    forget_unsaved(token);
}

void tokens_save_again(struct tokens *tokens)
{
    list_foreach (&tokens->unsaved, node) {
        struct token *token = container_of(node, struct token, unsaved_node);
        struct account *account = container_of(token, struct account, token);
        struct saving *saving = token->saving ? NULL : new_saving(account, token->unsaved);

        if (saving)
            submit(saving);
    }
}

static void on_again(struct timer *timer)
{
    struct tokens *tokens = container_of(timer, struct tokens, save_timer);

    tokens_save_again(tokens);
    tokens->save_delay_ms *= 2;
    if (tokens->save_delay_ms > AGAIN_MAX_MS)
        tokens->save_delay_ms = AGAIN_MAX_MS;
    if (!list_empty(&tokens->unsaved))
        loop_timer_set(tokens->loop, &tokens->save_timer, tokens->save_delay_ms);
}

void saving_init(struct tokens *tokens)
{
    list_init(&tokens->unsaved);
    timer_init(&tokens->save_timer, on_again);
    tokens->save_delay_ms = AGAIN_MS;
}

/* --- refresh tokens that were replaced -------------------------------------- */

void token_supersede(struct account *account, const char *refresh_token)
{
    struct token *token = &account->token;

    if (refresh_token[0])
        stale_push(&token->superseded, &token->superseded_count, stale_digest(refresh_token));
}

bool token_is_superseded(const struct account *account, const char *refresh_token)
{
    const struct token *token = &account->token;

    return account->holds[HOLD_TOKEN].state != ACCOUNT_NEEDS_CONSENT &&
           strcmp(refresh_token, token_newest_refresh_token(account)) != 0 &&
           stale_has(token->superseded, token->superseded_count, stale_digest(refresh_token));
}

void superseded_take(struct account *account)
{
    struct account_record *record = account->record;

    account->token.superseded = record->superseded;
    account->token.superseded_count = record->superseded_count;
    record->superseded = NULL;
    record->superseded_count = 0;
}
