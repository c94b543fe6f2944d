#include "broker/oauth/grant.h"

bool grant_refresh(struct form *form, const struct account_record *record,
                   const char *refresh_token)
{
    form_add(form, "grant_type", SLICE("refresh_token"));
    form_add(form, "client_id", slice_of(record->client_id));
    /* A public client of Microsoft must not send one (AADSTS700025), and has
     * none in its record. */
    if (record->client_secret[0])
        form_add(form, "client_secret", slice_of(record->client_secret));
    form_add(form, "refresh_token", slice_of(refresh_token));
    if (record->scope[0])
        form_add(form, "scope", slice_of(record->scope));
    form_add_encoded(form, record->extra);
    return !form->failed;
}
