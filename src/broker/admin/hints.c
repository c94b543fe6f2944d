#include "broker/admin/hints.h"

#include "broker/oauth/grant.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "5.7.1" is not in "5.7.139", nor in "15.7.1". */
static bool stands_alone(struct slice text, size_t at, struct slice word)
{
    size_t end = at + word.len;

    if (is_digit(word.ptr[0]) && at && (is_digit(text.ptr[at - 1]) || text.ptr[at - 1] == '.'))
        return false;
    return !is_digit(word.ptr[word.len - 1]) || end == text.len || !is_digit(text.ptr[end]);
}

static bool has_word(struct slice text, struct slice word)
{
    struct slice rest = text;
    ptrdiff_t at;

    while ((at = slice_find_nocase(rest, word)) >= 0) {
        size_t from = (size_t)(rest.ptr - text.ptr) + (size_t)at;

        if (stands_alone(text, from, word))
            return true;
        rest.ptr += at + 1;
        rest.len -= (size_t)at + 1;
    }
    return false;
}

static bool has_one(struct slice text, const char *pattern)
{
    for (;;) {
        size_t len = strcspn(pattern, "|");

        if (has_word(text, (struct slice){pattern, len}))
            return true;
        if (!pattern[len])
            return false;
        pattern += len + 1;
    }
}

static bool fits(const struct hint *hint, enum hint_source source, enum account_state state,
                 struct slice provider, struct slice text)
{
    if (!(hint->sources & source) || (hint->state != HINT_ANY_STATE && hint->state != state))
        return false;
    if (hint->provider && !slice_starts_nocase(provider, slice_of(hint->provider)))
        return false;
    return !hint->pattern || has_one(text, hint->pattern);
}

const struct hint *hint_for(enum hint_source source, enum account_state state, const char *provider,
                            const char *text)
{
    const struct hint *hint = hint_rows;

    while (!fits(hint, source, state, slice_of(provider), slice_of(text ? text : "")))
        hint++;
    return hint;
}

/* A refused token is gone; what was asked for is still there. */
static const struct hint *look_at_scope(const struct hint *hint,
                                        const struct account_record *record)
{
    if (strcmp(hint->cause, "token_refused") != 0 ||
        slice_find_nocase(slice_of(record->scope), SLICE("graph.microsoft.com")) < 0)
        return hint;
    return hint_for(HINT_TOKEN, ACCOUNT_MISCONFIGURED, record->provider, record->scope);
}

const struct hint *hint_of_answer(const struct account *account, enum oauth_class class_,
                                  const char *text)
{
    enum account_state state = ACCOUNT_THROTTLED;

    if (class_ == OAUTH_CONSENT && grant_has_person(account->record))
        state = ACCOUNT_NEEDS_CONSENT;
    else if (class_ == OAUTH_CONSENT || class_ == OAUTH_APP)
        state = ACCOUNT_MISCONFIGURED;
    return hint_for(HINT_ENDPOINT, state, account->record->provider, text);
}

const struct hint *hint_of_login(const struct account *account, const char *text)
{
    struct slice step = slice_of(text);
    const char *colon = strstr(text, ": "), *said = colon ? colon + 2 : text;
    enum hint_source source = HINT_SERVER;
    bool refused = false;

    if (colon) {
        step.len = (size_t)(colon - text);
        if (slice_equal(step, SLICE("connect")) || slice_equal(step, SLICE("starttls")))
            source = HINT_CONNECT;
        refused = slice_equal(step, SLICE("auth")) && *said == '5';
    }
    return look_at_scope(hint_for(source, refused ? ACCOUNT_MISCONFIGURED : ACCOUNT_ACTIVE,
                                  account->record->provider, said),
                         account->record);
}

const struct hint *hint_find(const struct account *account)
{
    static const enum hint_source sources[HOLDS] = {[HOLD_OPERATOR] = HINT_OPERATOR,
                                                    [HOLD_PROVIDER] = HINT_SERVER,
                                                    [HOLD_TOKEN] = HINT_ENDPOINT,
                                                    [HOLD_ADDRESS] = HINT_ADDRESS};
    const struct hold *hold = account_worst(account);
    const struct account_record *record = account->record;

    return look_at_scope(
        hint_for(sources[account->worst], hold->state, record->provider, hold->text), record);
}
