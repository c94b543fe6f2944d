/* DATA (RFC 5321 section 4.1.1.4). */
#include "relay/inbound/commands.h"
#include "relay/inbound/transaction.h"

void cmd_data(struct session *session, struct slice rest)
{
    enum answer why;

    if (session->state == SESSION_CHUNKS) { /* RFC 3030 section 2: never both */
        transaction_reset(session);
        session_refuse(session, ANSWER_IN_CHUNKS);
    } else if (!command_is_bare(session, rest)) {
        return;
    } else if (!transaction_may_send(session, &why)) {
        transaction_refuse(session, why);
    } else {
        session_move(session, SESSION_DATA);
        transaction_take(session);
    }
}
