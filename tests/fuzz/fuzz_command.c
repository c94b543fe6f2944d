/* A client's line: whatever a command's parser takes lies in the line. */
#include "fuzz.h"
#include "smtp/command.h"

static void check_mail(struct slice rest, bool dsn)
{
    struct smtp_mail mail;
    struct reason why = {""};

    if (smtp_parse_mail(rest, dsn, &mail, &why) != SMTP_SYNTAX_OK) {
        require(why.text[0]);
        return;
    }
    require(is_within(mail.sender.mailbox, rest) && is_within(mail.auth, rest));
    require(is_within(mail.envid, rest) && mail.envid.len <= 100);
    require(dsn || (!mail.envid.len && mail.ret == SMTP_RET_UNSET));
    require(mail.has_size || !mail.size);
}

static void check_rcpt(struct slice rest, bool dsn)
{
    struct smtp_rcpt rcpt;
    struct reason why = {""};

    if (smtp_parse_rcpt(rest, dsn, &rcpt, &why) != SMTP_SYNTAX_OK) {
        require(why.text[0]);
        return;
    }
    require(rcpt.recipient.mailbox.len && is_within(rcpt.recipient.mailbox, rest));
    require(is_within(rcpt.notify, rest) && is_within(rcpt.orcpt, rest));
    require(dsn || (!rcpt.notify.len && !rcpt.orcpt.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice line = {(const char *)data, size}, rest, name;
    uint64_t octets;
    bool last;

    require(smtp_command_split(line, &rest) < SMTP_VERBS && is_within(rest, line));
    for (int dsn = 0; dsn < 2; dsn++) {
        check_mail(rest, dsn);
        check_rcpt(rest, dsn);
    }
    if (smtp_parse_helo(rest, &name, NULL))
        require(name.len && name.len <= 255 && is_within(name, rest));
    smtp_parse_bdat(rest, &octets, &last, NULL);
    return 0;
}
