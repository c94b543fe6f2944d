/* Checks of clients' passwords: Argon2id takes a hundred milliseconds and 64 MiB,
 * so it runs on libuv's threads, few at a time, and no more than so many wait. */
#pragma once

#include "base/list.h"
#include "base/str.h"
#include "net/loop.h"

struct passwords;

enum password_verdict { PASSWORD_WRONG, PASSWORD_RIGHT, PASSWORD_BUSY };

typedef void passwords_done(void *owner, uint64_t tag, enum password_verdict verdict,
                            uint64_t generation);

struct passwords *passwords_new(struct loop *loop);
/* What waits is dropped, and nobody is called any more. What runs ends with the
 * loop, and the memory with it. */
void passwords_free(struct passwords *passwords);

/* Both texts are copied, and wiped when done. `hash` is "" for an account that
 * does not exist or has none: the answer is PASSWORD_WRONG, after as much work
 * as any. May call `done` before it returns, with PASSWORD_BUSY. */
void passwords_check(struct passwords *passwords, const char *hash, struct slice password,
                     uint64_t generation, passwords_done *done, void *owner, uint64_t tag);
/* Forgets whoever asked. */
void passwords_forget_all(struct passwords *passwords);
