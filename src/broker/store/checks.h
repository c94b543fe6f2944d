/* Checks of single values of an account record. Each returns NULL when the
 * text is right, else what it must be, as the end of a sentence:
 * "must be ...". */
#pragma once

const char *check_email(const char *text);
const char *check_user(const char *text);
const char *check_id(const char *text);
const char *check_provider(const char *text);
const char *check_secret(const char *text); /* tokens, ids, secrets: visible ASCII */
const char *check_scope(const char *text);
const char *check_https_url(const char *text);
const char *check_endpoint(const char *text); /* host:port */
const char *check_address(const char *text);  /* "" or a numeric IP address */
const char *check_reason(const char *text);   /* for people: a line */
const char *check_tenant(const char *text);
const char *check_password_hash(const char *text);
const char *check_app(const char *text);
const char *check_day(const char *text); /* "2026-12-31" */
