#include "relay/upstream/group.h"

#include <stdlib.h>

#include "relay/directory.h"
#include "relay/upstream/account.h"
#include "relay/upstream/pool.h"

#define TELL_MS 200    /* what has ended is told that late */
#define UNUSED_MS 1000 /* what is not used goes back */
#define ASK_MAX 32     /* messages at once */
#define ASK_SPARE 8    /* recipients more than are known now, for live ones */

struct group {
    UT_hash_handle hh;
    char *name;
    struct limits limits;
    struct ledger ledger;
};

/* Belongs to whoever has it: the share, the mailboxes, the owner. */
struct letter {
    struct mail mail;
    struct group_share *share;
    struct worker *worker, *owner;
    char *name; /* the share's: it lives as long as the letter is under way */
    /* There: granted ones that have ended or were not used, and how many of them count. */
    uint64_t ended, ended_recipients, counted, counted_recipients;
    uint64_t asked, asked_recipients;   /* beside what is at hand */
    uint64_t needed, needed_recipients; /* with less, nothing can begin */
    bool asks;
    /* And back. */
    uint64_t granted, granted_recipients, wait_ms;
    enum limit which;
    uint32_t max;
};

struct group_share {
    UT_hash_handle hh;
    char *name;
    unsigned refs;
    struct worker *worker, *owner;
    uint64_t messages, recipients; /* granted, for flights that have not begun */
    uint64_t used_at;              /* ms: something was granted or begun */
    uint64_t full_until;
    enum limit full_limit;
    uint32_t full_max;
    struct list waiting; /* account.share_node */
    struct timer timer;
    struct letter *letter; /* NULL: under way */
    /* For the next one. */
    uint64_t ended, ended_recipients, counted, counted_recipients;
    uint64_t asked, needed_recipients; /* messages, and of one of them */
};

/* --- the owner --- */

struct group *group_find(struct account_table *table, struct slice name)
{
    struct group *group;

    HASH_FIND(hh, table->groups, name.ptr, name.len, group);
    return group;
}

struct ledger *group_ledger(struct group *group)
{
    return &group->ledger;
}

static struct group *group_add(struct worker *worker, struct slice name)
{
    struct account_table *table = worker->accounts;
    struct group *group = group_find(table, name);

    if (group)
        return group;
    group = calloc(1, sizeof(*group));
    if (!group || !(group->name = slice_dup(name))) {
        free(group);
        return NULL;
    }
    group->ledger = (struct ledger){
        .worker = worker, .limits = &group->limits, .name = group->name, .group = true};
    HASH_ADD_KEYPTR(hh, table->groups, group->name, name.len, group);
    return group;
}

void upstream_group(struct worker *worker, const struct ipc_account *account)
{
    const uint32_t max[LIMITS] = {[LIMIT_MINUTE] = account->group_messages_per_minute,
                                  [LIMIT_HOUR] = account->group_messages_per_hour,
                                  [LIMIT_DAY] = account->group_messages_per_day,
                                  [LIMIT_RECIPIENTS] = account->group_recipients_per_day};
    struct group *group = group_add(worker, account->group);

    if (!group || !limits_set(&group->limits, max))
        log_event(LOG_ERROR, "group_not_taken", log_sl("group", account->group),
                  log_s("reason", "out of memory"));
}

void group_free_all(struct account_table *table)
{
    struct group *group, *next;

    HASH_ITER (hh, table->groups, group, next) {
        assert(table->groups); /* it is in there */
        ledger_tell(&group->ledger);
        HASH_DELETE(hh, table->groups, group);
        limits_clear(&group->limits);
        free(group->name);
        free(group);
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Some of what is asked for, but enough for one message; or for how long not. */
static void grant(struct group *group, struct letter *letter, uint64_t now)
{
    uint64_t room = limits_room(&group->limits, now);
    uint64_t recipients = limits_room_for_recipients(&group->limits, now);

    letter->which = LIMIT_MINUTE;
    if (room >= letter->needed && recipients >= letter->needed_recipients) {
        letter->granted = least(letter->asked, room);
        letter->granted_recipients = least(letter->asked_recipients, recipients);
        limits_grant(&group->limits, letter->granted, letter->granted_recipients);
        ledger_sent(&group->ledger, letter->granted, letter->granted_recipients);
        return;
    }
    letter->wait_ms = limits_wait_at_least(&group->limits, now, letter->needed,
                                           letter->needed_recipients, &letter->which);
    letter->max = group->limits.max[letter->which];
}

static void deliver_back(struct mail *mail);

/* Without memory for the group nothing is granted: rather too little than too much. */
static void deliver_to_owner(struct mail *mail)
{
    struct letter *letter = container_of(mail, struct letter, mail);
    struct group *group = group_add(letter->owner, slice_of(letter->name));
    uint64_t now = loop_now(&letter->owner->loop);

    letter->granted = letter->granted_recipients = letter->wait_ms = 0;
    if (group) {
        limits_settle(&group->limits, now, letter->ended, letter->ended_recipients, letter->counted,
                      letter->counted_recipients);
        if (letter->ended)
            ledger_moved(&group->ledger);
        if (letter->asks)
            grant(group, letter, now);
    }
    if (!mailbox_post(&letter->worker->mailbox, mail, deliver_back)) {
        free(letter->name); /* its worker has ended */
        free(letter);
    }
}

/* --- the share --- */

static uint64_t beyond(uint64_t wanted, uint64_t at_hand)
{
    return wanted > at_hand ? wanted - at_hand : 0;
}

static void ask(const struct group_share *share, struct letter *letter)
{
    letter->asks = share->asked > 0;
    letter->asked = beyond(share->asked, share->messages);
    letter->needed = beyond(letter->asks, share->messages);
    letter->asked_recipients =
        beyond(share->asked * share->needed_recipients + ASK_SPARE, share->recipients);
    letter->needed_recipients = beyond(share->needed_recipients, share->recipients);
}

static void send_letter(struct group_share *share)
{
    struct letter *letter = share->letter;

    if (!letter || !(share->ended || share->ended_recipients || share->asked))
        return;
    letter->ended = share->ended;
    letter->ended_recipients = share->ended_recipients;
    letter->counted = share->counted;
    letter->counted_recipients = share->counted_recipients;
    ask(share, letter);
    if (!mailbox_post(&share->owner->mailbox, &letter->mail, deliver_to_owner))
        return; /* all ends */
    share->letter = NULL;
    share->ended = share->ended_recipients = share->counted = share->counted_recipients = 0;
    share->asked = share->needed_recipients = 0;
}

static void give_back_unused(struct group_share *share)
{
    share->ended += share->messages;
    share->ended_recipients += share->recipients;
    share->messages = share->recipients = 0;
}

static bool has_something(const struct group_share *share)
{
    return share->ended || share->ended_recipients || share->messages || share->recipients;
}

static void arm(struct group_share *share)
{
    if ((has_something(share) || !list_empty(&share->waiting)) && !timer_active(&share->timer))
        loop_timer_set(&share->worker->loop, &share->timer, TELL_MS);
}

static void free_share(struct group_share *share)
{
    HASH_DELETE(hh, share->worker->accounts->shares, share);
    loop_timer_cancel(&share->worker->loop, &share->timer);
    free(share->letter);
    free(share->name);
    free(share);
}

/* What it was granted must be told of before it goes. */
static void free_if_unused(struct group_share *share)
{
    if (share->refs || !share->letter)
        return;
    give_back_unused(share);
    send_letter(share);
    if (share->letter)
        free_share(share);
}

static void wake_waiting(struct group_share *share)
{
    size_t count = share->waiting.count;
    struct list_node *node;

    while (count-- && (node = list_pop_head(&share->waiting)))
        pool_pump(container_of(node, struct account, share_node));
}

/* Who waits asks again. */
static void on_timer(struct timer *timer)
{
    struct group_share *share = container_of(timer, struct group_share, timer);

    share->refs++;
    if (share->used_at + UNUSED_MS <= loop_now(&share->worker->loop))
        give_back_unused(share);
    if (share->letter)
        wake_waiting(share);
    send_letter(share);
    arm(share);
    share->refs--;
    free_if_unused(share);
}

static void deliver_back(struct mail *mail)
{
    struct letter *letter = container_of(mail, struct letter, mail);
    struct group_share *share = letter->share;
    uint64_t now = loop_now(&share->worker->loop);

    share->letter = letter;
    share->messages += letter->granted;
    share->recipients += letter->granted_recipients;
    if (letter->granted || letter->granted_recipients)
        share->used_at = now;
    if (letter->asks) {
        share->full_until = letter->wait_ms ? now + letter->wait_ms : 0;
        share->full_limit = letter->which;
        share->full_max = letter->max;
    }
    share->refs++;
    if (letter->granted || letter->granted_recipients ||
        letter->wait_ms) /* else others have it all, and may give some back */
        wake_waiting(share);
    send_letter(share);
    arm(share);
    share->refs--;
    free_if_unused(share);
}

struct group_share *share_get(struct worker *worker, struct slice name)
{
    struct account_table *table = worker->accounts;
    struct relay *relay = worker->relay;
    struct group_share *share;

    HASH_FIND(hh, table->shares, name.ptr, name.len, share);
    if (share)
        return share_ref(share);
    share = calloc(1, sizeof(*share));
    if (!share || !(share->name = slice_dup(name)) ||
        !(share->letter = calloc(1, sizeof(*share->letter)))) {
        if (share)
            free(share->name);
        free(share);
        return NULL;
    }
    share->refs = 1;
    share->worker = worker;
    share->owner = relay->workers[account_hash(name) % relay->worker_count];
    *share->letter = (struct letter){
        .share = share, .worker = worker, .owner = share->owner, .name = share->name};
    list_init(&share->waiting);
    timer_init(&share->timer, on_timer);
    HASH_ADD_KEYPTR(hh, table->shares, share->name, name.len, share);
    return share;
}

struct group_share *share_ref(struct group_share *share)
{
    share->refs++;
    return share;
}

void share_put(struct group_share *share)
{
    share->refs--;
    free_if_unused(share);
}

const char *share_name(const struct group_share *share)
{
    return share->name;
}

uint64_t share_messages(const struct group_share *share)
{
    return share->messages;
}

uint64_t share_full(const struct group_share *share, enum limit *which, uint32_t *max)
{
    uint64_t now = loop_now(&share->worker->loop);

    if (share->full_until <= now)
        return 0;
    *which = share->full_limit;
    *max = share->full_max;
    return share->full_until - now;
}

void share_forget(struct account *account)
{
    if (list_node_linked(&account->share_node))
        list_remove(&account->share->waiting, &account->share_node);
}

bool share_claim(struct group_share *share, struct account *account, uint64_t recipients)
{
    uint64_t messages = least(account->waiting.count, ASK_MAX);

    if (share->messages && share->recipients >= recipients)
        return true;
    if (share->full_until > loop_now(&share->worker->loop))
        return false; /* the answer is known */
    if (!list_node_linked(&account->share_node))
        list_push_tail(&share->waiting, &account->share_node);
    if (messages > share->asked)
        share->asked = messages;
    if (recipients > share->needed_recipients)
        share->needed_recipients = recipients;
    send_letter(share);
    arm(share);
    return false;
}

void share_begin(struct group_share *share, uint64_t recipients)
{
    assert(share->messages && share->recipients >= recipients);
    share->messages--;
    share->recipients -= recipients;
    share->used_at = loop_now(&share->worker->loop);
}

bool share_more(struct group_share *share)
{
    if (!share->recipients)
        return false;
    share->recipients--;
    return true;
}

void share_end(struct group_share *share, uint64_t recipients, bool counted,
               uint64_t counted_recipients)
{
    share->ended++;
    share->ended_recipients += recipients;
    share->counted += counted;
    share->counted_recipients += counted ? counted_recipients : 0;
    arm(share);
}

/* The worker ends: letters under way find its mailbox closed, and what was granted
 * counts at the owner for ever. */
void share_free_all(struct account_table *table)
{
    struct group_share *share, *next;

    HASH_ITER (hh, table->shares, share, next) {
        HASH_DELETE(hh, table->shares, share);
        if (!share->letter)
            share->name = NULL; /* the letter's now */
        loop_timer_cancel(&share->worker->loop, &share->timer);
        free(share->letter);
        free(share->name);
        free(share);
    }
}
