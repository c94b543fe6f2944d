/* Where an application may have the browser sent back to. */
#pragma once

#include "sim/clients.h"

/* The loopback interface at any port, whatever the path, as both providers let
 * native applications have it; else one that is registered for the client. */
bool redirect_uri_fits(const struct client *client, const char *uri);
