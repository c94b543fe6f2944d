/* How a record's account gets tokens: its application, its keys, its grant. For
 * record.c. */
#pragma once

#include "broker/store/record_fields.h"

/* The profile that the record names, which then says who the account is to its provider,
 * and where: a record may be written by somebody who must not have its secrets. */
bool record_take_app(struct record_draft *draft, const struct conf *conf, struct reason *why);
/* The grant, what it needs, and the key, which the draft's record then holds. */
bool record_take_grant(struct record_draft *draft, const json_t *object, struct reason *why);
/* Once endpoint and token URL are known. */
bool record_check_place(const struct record_draft *draft, struct reason *why);

/* "common", "organizations" or "consumers" where one of them stands for the tenant in
 * Microsoft's URLs, else nothing. */
struct slice record_common_tenant(const char *url);
