/* Requests to bearerd's admin API, one at a time. */
#pragma once

#include <jansson.h>

#include "ctl/args.h"
#include "ctl/ndjson.h"

struct api;

/* For the command's options. Functions that return an exit code have said what
 * was wrong. */
int api_open(struct api **out, const struct args *args);
void api_close(struct api *api);

struct api_answer {
    long status;
    json_t *body; /* NULL: none, or no JSON object */
};

/* An answer, whatever its status: CTL_OK. `body` may be NULL. */
int api_ask(struct api *api, const char *method, const char *path, const json_t *body,
            struct api_answer *answer);
/* ... and only a success is CTL_OK; `out` is then an object, or NULL was given.
 * Else the answer is told, with what to do next. */
int api_call(struct api *api, const char *method, const char *path, const json_t *body,
             json_t **out);
/* Tells a refusal and returns its code. */
int api_refused(struct api *api, const struct api_answer *answer);

/* Sends `body` of the type and calls for each line of the NDJSON answer. A line
 * function that wants no more says why itself and sets its own code. */
int api_stream(struct api *api, const char *method, const char *path, const char *type,
               struct slice body, ndjson_line *each, void *owner);

/* For a screen that is refreshed: says nothing, `why` gets the reason. Returns
 * early, with CTL_FAILED and an empty reason, as soon as `wake_fd` is readable. */
int api_poll(struct api *api, const char *path, int wake_fd, struct api_answer *answer,
             struct reason *why);

/* As messages name it: the URL. */
const char *api_shown(const struct api *api);
/* SIGINT or SIGTERM came while a request ran; it was given up. */
bool api_interrupted(void);
/* One more request of a command that ends, to tidy up behind itself, also when it was
 * interrupted. Nothing is said; another signal, or a few seconds, end it. Whether it worked. */
bool api_tidy(struct api *api, const char *method, const char *path);

/* Percent-encodes for a path or a query. */
void path_add(struct text *path, const char *value);
/* "?name=value" or "&name=value"; nothing when value is NULL. */
void path_query(struct text *path, const char *name, const char *value);
#define API_PATH_MAX 2048
