/* What the files of the token lifecycle share. Private to them.
 *
 *     token.c    phases, requests, successes
 *     turns.c    queues: whose turn it is
 *     outcome.c  failures: what the account, its gates and its mail learn
 *     saving.c   replaced refresh tokens on their way to the disk
 *     kept.c     access tokens on their way there, and back after a start
 */
#pragma once

#include "broker/account.h"

#define SPREAD_MS 10 /* how much later, on average, the next of many accounts asks */

uint64_t token_random(void);
void token_move(struct token *token, enum token_phase phase);
/* Asks again after a while. */
void token_rest(struct token *token, uint64_t delay_ms);
/* Makes an access token (taken over) the account's; `kept`: the store has it already. */
void token_publish(struct account *account, char *value, uint64_t life_ms, uint64_t came_ms,
                   bool kept);
/* What was under way for an outdated record has ended: asks for the one of now. */
void token_restart(struct account *account);

/* Answers all who wait for the endpoint's word. */
void token_tell(struct token *token, enum oauth_class class_, const char *text);

/* The next one to ask, still on its queue, or NULL: nobody waits, or there is
 * no room. */
struct token *turns_next(struct tokens *tokens);

/* What mail hears while there is no token; NULL: nothing. */
void token_set_down_text(struct token *token, const char *text);
/* Mail that comes now has no token: it hears why. */
void outcome_hold_down(struct account *account);
/* Its turn came, but a gate is closed for a while. */
void outcome_gated(struct account *account, const struct gate *gate, uint64_t delay_ms);
void outcome_failure(struct account *account, const struct oauth_response *response);
/* What an answer says of the endpoint and of the application at it. */
void outcome_tell_gates(struct account *account, const struct oauth_response *response);
/* A token that was just fetched is refused as well: no refresh can help. */
void outcome_rejected(struct account *account, const char *why);

/* Saves the refresh token, then publishes `access` (NULL: none), which it takes over.
 * It is published too when saving fails: the endpoint has replaced the old refresh
 * token in either case; but not when the account is outdated then, which is asked
 * anew. False: it could not begin; nothing was taken over. */
bool saving_begin(struct account *account, const char *refresh_token, char *access,
                  uint64_t life_ms);
/* A new account: those that the store knows of. */
void superseded_take(struct account *account);
/* The account has another refresh token, or goes. */
void saving_forget(struct token *token);
void saving_init(struct tokens *tokens);

/* A new account: true when the store keeps a token of it that serves. */
bool kept_begin(struct account *account);
/* The account's token, or that it has none, is told to the store soon. */
void kept_mark(struct account *account);
/* The same at once: what the provider refused must not come back. */
void kept_refused(struct account *account);
/* The account has another token, or none. */
void kept_forget(struct token *token);
/* All but id and value of what the store is told. */
void kept_fill(const struct account *account, const char *refresh_token, uint64_t left_ms,
               uint64_t life_ms, struct store_access *access);
void kept_init(struct tokens *tokens);
