/* What an application asks for, and what it gets. */
#pragma once

#include <stdbool.h>

#include "sim/profile.h"

struct scope {
    char granted[512];  /* as the answer's "scope" */
    char audience[128]; /* of a Microsoft token: the resource */
    char permissions[256];
    bool offline, openid;
    bool whole;    /* RESOURCE/.default: all that was agreed on */
    bool smtp;     /* mail may be submitted with it */
    char bad[160]; /* the first word that is nothing, or "" */
    bool mixed;    /* of several resources */
    bool foreign;  /* `bad` names a resource that is not there */
};

/* NULL as `text`: what the profile is for. */
void scope_read(const struct profile *profile, const char *text, struct scope *out);
bool scope_is_resource_for_mail(const char *audience);
