/* The mail server, as the relay tells of it. */
#include "broker/admin/checks.h"
#include "broker/broker.h"

_Static_assert(CHECK_SMTP_MAIL - CHECK_SMTP_DNS == (int)IPC_STEP_MAIL, "the relay's steps");

static const struct hint *smtp_hint(const struct check *check, const struct relay_step *step)
{
    const struct account *account = check_account(check);
    const char *provider = account ? account->record->provider : "";
    enum hint_source source = step->step <= IPC_STEP_TLS ? HINT_CONNECT : HINT_SERVER;

    if (step->result == IPC_STEP_OK)
        return NULL;
    if (step->step == IPC_STEP_AUTH && check->token_fault && step->code == 535)
        return check->token_fault;
    return hint_for(source, step->state, provider, step->text);
}

static void on_step(void *owner, const struct relay_step *step)
{
    static const enum check_result results[IPC_STEP_RESULTS] = {[IPC_STEP_OK] = CHECKED_OK,
                                                                [IPC_STEP_WARNING] =
                                                                    CHECKED_WARNING,
                                                                [IPC_STEP_FAILED] = CHECKED_FAILED};
    struct check *check = owner;

    check->smtp_failed = check->smtp_failed || step->result == IPC_STEP_FAILED;
    if (!check_has_told(check, CHECK_LIMITS))
        check_tell(check, CHECK_LIMITS, CHECKED_OK, NULL, "the account may log in now");
    check_tell_after(check, (enum check_step)(CHECK_SMTP_DNS + (int)step->step),
                     results[step->result], step->took_ms, smtp_hint(check, step), step->text);
}

/* A login that was refused is no longer: nobody needs to wait for the time that was set
 * for the next try. A quota is another matter, and so is a mailbox that cannot be opened,
 * which the server says behind a message only (430). */
static void lift_hold(struct check *check)
{
    struct account *account = check_account(check);
    const struct hold *hold = account ? &account->holds[HOLD_PROVIDER] : NULL;

    if (hold && hold->state == ACCOUNT_MISCONFIGURED && hold->text && hold->text[0] == '5')
        account_hold(account, HOLD_PROVIDER, ACCOUNT_ACTIVE, 0, NULL);
}

static enum check_step first_untold(const struct check *check, enum check_step from)
{
    int step = (int)from;

    while (step < CHECK_SMTP_MAIL && check_has_told(check, (enum check_step)step))
        step++;
    return (enum check_step)step;
}

/* Where no step has failed, the next one could not be tried. */
static void on_probed(void *owner, bool ok, const char *text)
{
    struct check *check = owner;
    const struct account *account = check_account(check);
    bool whole = check_has_told(check, CHECK_SMTP_MAIL);

    check->probing = false;
    if (ok && whole && !check->smtp_failed) {
        lift_hold(check);
        check_skip_rest(check, CHECK_SMTP_DNS, "an open connection was examined");
    } else if (!whole && !check->smtp_failed && account) {
        check_tell(check, first_untold(check, CHECK_LIMITS), CHECKED_FAILED,
                   hint_for(HINT_SERVER, ACCOUNT_ACTIVE, account->record->provider, text), text);
    }
    check_skip_rest(check, CHECK_LIMITS, "a step before it has failed");
    check_finish(check);
}

void check_mail_server(struct check *check)
{
    const struct account *account = check_account(check);

    check->probing = true;
    if (!relay_view_diagnose(check->broker->view, slice_of(check->id),
                             slice_of(account->record->email), on_step, on_probed, check))
        on_probed(check, false, "out of memory");
}
