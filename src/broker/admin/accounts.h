/* The resources of accounts: a file for each kind of request. */
#pragma once

#include "broker/admin/request.h"

struct account;

/* By e-mail in any case of the letters, or by id; NULL: there is none. */
struct account *accounts_named(const struct broker *broker, const char *name);
/* The path's account; NULL: there is none, and 404 was replied. */
struct account *accounts_find(struct admin_request *request);
/* 200 with the account in full and its pool, once the relay has said how it is;
 * `message` may be NULL. */
void account_reply_detail(struct admin_request *request, const struct account *account,
                          const char *message);

admin_handler accounts_list, tokens_list;                                    /* accounts_list.c */
admin_handler accounts_post, accounts_post_batch;                            /* accounts_add.c */
admin_handler accounts_get, accounts_patch, accounts_pause, accounts_resume; /* accounts_one.c */
admin_handler accounts_delete, accounts_delete_all, accounts_delete_invalid; /* accounts_remove.c */
admin_handler accounts_verify, accounts_verify_many;                         /* accounts_verify.c */
admin_handler accounts_check;                                                /* accounts_check.c */
admin_handler accounts_export;                                               /* accounts_export.c */
admin_handler pools_list, limits_list;                                       /* pools.c */

extern const struct admin_route admin_account_routes[]; /* ends with a NULL method */
