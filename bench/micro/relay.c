#include "micro/micro.h"
#include "relay/verdict.h"

static struct smtp_reply accepted, quota, odd;

static void look_up(const struct smtp_reply *reply, uint64_t rounds)
{
    while (rounds--) {
        struct verdict verdict = verdict_of(SLICE("gmail"), PHASE_FINAL, true, reply);

        keep(&verdict);
    }
}

static void run_accepted(uint64_t rounds)
{
    look_up(&accepted, rounds);
}

static void run_quota(uint64_t rounds)
{
    look_up(&quota, rounds);
}

/* Nothing in the table knows this text: every row is tried. */
static void run_unknown(uint64_t rounds)
{
    look_up(&odd, rounds);
}

void micro_relay_prepare(void)
{
    smtp_reply_set(&accepted, 250, (struct smtp_enhanced){2, 0, 0},
                   "OK  1718000000 98e67ed59e1d1-2d5f1f9c1b2sm123456a91.7 - gsmtp");
    smtp_reply_set(&quota, 550, (struct smtp_enhanced){5, 4, 5},
                   "Daily user sending limit exceeded. For more information on Gmail sending "
                   "limits go to\nhttps://support.google.com/a/answer/166852 "
                   "98e67ed59e1d1-2d5f1f9c1b2sm123456a91.7 - gsmtp");
    smtp_reply_set(&odd, 554, (struct smtp_enhanced){5, 9, 9},
                   "something that no provider has ever said, in a line of usual length");
}

const struct micro micro_relay[] = {
    {"verdict_of, accepted", run_accepted, 0, NULL, 0},
    {"verdict_of, daily quota of Gmail", run_quota, 0, NULL, 0},
    {"verdict_of, a text that no row knows", run_unknown, 0, NULL, 0},
    {0},
};
