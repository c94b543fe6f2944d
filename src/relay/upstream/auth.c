/* AUTH XOAUTH2 and OAUTHBEARER towards a provider (PROVIDERS.md section 2).
 *
 *   line <= 512 octets:  AUTH MECH token ------------------> 235
 *   longer:              AUTH MECH -> 334 -> token ---------> 235
 *   a refusal may come as 334 + detail; it ends with an empty line (XOAUTH2)
 *   or 0x01 (OAUTHBEARER), and then comes 535
 */
#include <stdio.h>
#include <stdlib.h>

#include "relay/upstream/client.h"
#include "relay/upstream/diagnosis.h"
#include "relay/upstream/pool.h"
#include "smtp/sasl.h"

static bool uses_oauthbearer(const struct client *client)
{
    enum conf_mechanism wanted = client->account->mechanism;

    if (wanted != CONF_MECH_AUTO)
        return wanted == CONF_MECH_OAUTHBEARER;
    return !(client->caps.mechs & SMTP_MECH_XOAUTH2);
}

static bool mechanism_offered(const struct client *client)
{
    return client->caps.mechs &
           (uses_oauthbearer(client) ? SMTP_MECH_OAUTHBEARER : SMTP_MECH_XOAUTH2);
}

/* Writes "AUTH MECH token" or just the token, and wipes its copy. */
static bool send_token(struct client *client, const char *command)
{
    const struct account *account = client->account;
    struct slice user = slice_of(account->sasl_user);
    struct slice token = {account->token, account->token_len};
    char *line = malloc(SASL_OAUTH_MAX + 64);
    size_t len = line ? strlen(command) : 0, room = SASL_OAUTH_MAX, encoded = 0;
    bool ok = false;

    if (line && token.ptr) {
        memcpy(line, command, len);
        if (uses_oauthbearer(client))
            encoded = sasl_oauthbearer_encode(user, slice_of(client->endpoint->host),
                                              client->endpoint->port, token, line + len, room);
        else
            encoded = sasl_xoauth2_encode(user, token, line + len, room);
    }
    if (encoded) {
        memcpy(line + len + encoded, "\r\n", 2);
        ok = client->conn && conn_write_secret(client->conn, line, len + encoded + 2);
    }
    if (line)
        explicit_bzero(line, SASL_OAUTH_MAX + 64);
    free(line);
    client->token_sent = ok;
    return ok;
}

/* Octets of base64 for the first message, near enough to choose the form: a
 * few octets of doubt fall on the safe side, two steps. */
static bool fits_inline(const struct client *client)
{
    const struct account *account = client->account;
    size_t plain = strlen(account->sasl_user) + account->token_len + 64;

    if (uses_oauthbearer(client))
        plain += strlen(client->endpoint->host) + 32;
    return BASE64_LEN(plain) + 24 <= SASL_INLINE_MAX;
}

void client_auth_begin(struct client *client)
{
    const struct account *account = client->account;
    const char *name = uses_oauthbearer(client) ? "OAUTHBEARER" : "XOAUTH2";
    char command[32];

    if (!mechanism_offered(client)) {
        client_fail_text(client, PHASE_AUTH,
                         "the server offers neither XOAUTH2 nor OAUTHBEARER as wanted");
        return;
    }
    if (!account->token) {
        /* Refused to another connection: no fault of this server's. */
        if (client->diagnosis)
            diagnosis_token_gone(client);
        client_close(client, "the access token was withdrawn");
        pool_room(client->account);
        return;
    }
    /* The token may have been refreshed while we connected. */
    client->token_serial = account->token_serial;
    client->token_expires_wall_ms = account->token_expires_wall_ms;
    snprintf(command, sizeof(command), fits_inline(client) ? "AUTH %s " : "AUTH %s\r\n", name);
    if (fits_inline(client) ? !send_token(client, command)
                            : !client_write(client, command, strlen(command)))
        client_fail_text(client, PHASE_CONNECT, "the access token cannot be sent");
}

static bool about_token(const char *status)
{
    return strcmp(status, "400") == 0 || strcmp(status, "401") == 0 ||
           strcmp(status, "invalid_token") == 0 || status[0] == '\0';
}

/* The provider says why, and waits for our word before it says no. */
static void answer_detail(struct client *client, const struct smtp_reply *reply)
{
    char status[64] = "";
    const char *word = uses_oauthbearer(client) ? "AQ==\r\n" : "\r\n";

    sasl_oauth_failure((struct slice){reply->text ? reply->text : "", reply->text_len}, status,
                       sizeof(status));
    client->failing_status = !about_token(status);
    if (client->diagnosis)
        diagnosis_detail(client, status);
    log_event(LOG_DEBUG, "auth_detail", log_s("account", client->account->id),
              log_u("conn", client->serial), log_s("status", status));
    client_set_state(client, CLIENT_AUTH_DETAIL);
    client_write(client, word, strlen(word));
}

static void accepted(struct client *client, const struct smtp_reply *reply)
{
    if (!client->token_sent) {
        client_fail_text(client, PHASE_CONNECT, "the server accepted a login without a token");
        return;
    }
    if (client->diagnosis)
        diagnosis_step(client, IPC_STEP_AUTH, reply);
    client_logged_in(client);
}

void client_auth_reply(struct client *client, struct smtp_reply *reply)
{
    if (reply->code == 235) {
        accepted(client, reply);
    } else if (reply->code == 334 && !client->token_sent) {
        client_set_state(client, CLIENT_AUTH_TOKEN);
        if (!send_token(client, ""))
            client_fail_text(client, PHASE_CONNECT, "the access token cannot be sent");
    } else if (reply->code == 334 && client->state != CLIENT_AUTH_DETAIL) {
        answer_detail(client, reply);
    } else {
        client_fail(client, PHASE_AUTH, reply);
    }
}
