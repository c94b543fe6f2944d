/* The routes of accounts. */
#include "broker/admin/accounts.h"

#include "broker/admin/routes.h"

#define RECORD (256u << 10)
#define BATCH (64u << 20)
#define FILTERS "state provider domain q email limit after"

const struct admin_route admin_account_routes[] = {
    {"GET", "/admin/accounts", ADMIN_READ, 0, accounts_list, "All accounts, or a page of some",
     FILTERS},
    {"POST", "/admin/accounts", ADMIN_WRITE, RECORD, accounts_post, "Adds an account", ""},
    {"DELETE", "/admin/accounts", ADMIN_WRITE, 0, accounts_delete_all, "Removes all accounts",
     "confirm"},
    {"POST", "/admin/accounts/batch", ADMIN_WRITE, BATCH, accounts_post_batch,
     "Adds up to 100 accounts, or up to 10,000 as a stream", ""},
    {"DELETE", "/admin/accounts/invalid", ADMIN_WRITE, 0, accounts_delete_invalid,
     "Removes the accounts whose provider declares their grant dead", "dry_run"},
    {"POST", "/admin/accounts/verify", ADMIN_WRITE, RECORD, accounts_verify_many,
     "Verifies many accounts, as a stream", ""},
    {"GET", "/admin/accounts/export", ADMIN_READ, 0, accounts_export,
     "Records of all accounts, as a stream", "secrets"},
    {"GET", "/admin/accounts/{email}", ADMIN_READ, 0, accounts_get, "One account in full", ""},
    {"PATCH", "/admin/accounts/{email}", ADMIN_WRITE, RECORD, accounts_patch,
     "Changes keys of an account's record", ""},
    {"DELETE", "/admin/accounts/{email}", ADMIN_WRITE, 0, accounts_delete, "Removes an account",
     ""},
    {"POST", "/admin/accounts/{email}/pause", ADMIN_WRITE, RECORD, accounts_pause,
     "Refuses an account's mail", ""},
    {"POST", "/admin/accounts/{email}/resume", ADMIN_WRITE, 0, accounts_resume,
     "Takes its mail again", ""},
    {"POST", "/admin/accounts/{email}/verify", ADMIN_WRITE, RECORD, accounts_verify,
     "Asks the token endpoint, and the mail server, about an account", ""},
    {"POST", "/admin/accounts/{email}/check", ADMIN_WRITE, 0, accounts_check,
     "Goes through all that sending with an account takes, step by step", ""},
    {"GET", "/admin/tokens", ADMIN_READ, 0, tokens_list, "Access tokens: age, expiry, failures",
     FILTERS},
    {"GET", "/admin/pools", ADMIN_READ, 0, pools_list, "Connections and messages of accounts",
     "email limit after"},
    {"GET", "/admin/limits", ADMIN_READ, 0, limits_list, "Limits of accounts and their use",
     "email limit after"},
    {NULL},
};
