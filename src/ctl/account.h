/* Paths and lines about accounts that several commands share. */
#pragma once

#include <jansson.h>

#include "base/str.h"

/* "/admin/accounts/ADDRESS" and what may follow. */
void account_path(struct text *path, const char *address, const char *rest);
/* The account as `accounts show` prints it; takes ITEM and DETAIL of the API. */
void account_print(const json_t *account);
/* "2026-11-25T22:37:00Z (3h ago)" in a line of its own; nothing without a time. */
void account_time_field(const char *label, const char *iso);
