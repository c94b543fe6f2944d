/* What knobs do to a command: fault_<phase> and reply_<phase>. */
#include <stdlib.h>

#include "sim/faults.h"
#include "sim/session.h"

static void fault_close(struct session *session, const char *argument)
{
    (void)argument;
    session_end(session, OUT_FINISH);
}

static void fault_drop(struct session *session, const char *argument)
{
    (void)argument;
    session_end(session, OUT_DROP);
}

static void fault_reset(struct session *session, const char *argument)
{
    (void)argument;
    session_end(session, OUT_RESET);
}

static void fault_stall(struct session *session, const char *argument)
{
    if (*argument)
        session->extra_us = strtoull(argument, NULL, 10) * 1000;
    else
        session_mute(session);
}

static void fault_partial(struct session *session, const char *argument)
{
    (void)argument;
    outbox_add(session, "25", 2, 0);
    session_mute(session);
}

static void fault_partial_close(struct session *session, const char *argument)
{
    (void)argument;
    outbox_add(session, "25", 2, 0);
    session_end(session, OUT_FINISH);
}

static void fault_garbage(struct session *session, const char *argument)
{
    static const char octets[] =
        "\x16\x03\x01\xff\xfe garbage \x80\x81\r\n<html>no SMTP</html>\r\n";

    (void)argument;
    outbox_add(session, octets, sizeof(octets) - 1, 0);
}

static void fault_extra(struct session *session, const char *argument)
{
    slice_copy(slice_of(*argument ? argument : "250 2.0.0 OK"), session->behind,
               sizeof(session->behind));
}

struct fault {
    const char *name;
    void (*act)(struct session *session, const char *argument);
    bool replaces; /* the command gets no usual reply */
};

static const struct fault faults[] = {
    {"close", fault_close, true},     {"drop", fault_drop, true},
    {"reset", fault_reset, true},     {"stall", fault_stall, true},
    {"partial", fault_partial, true}, {"partial-close", fault_partial_close, true},
    {"garbage", fault_garbage, true}, {"extra", fault_extra, false},
};

static const struct fault *find(const char *spec)
{
    struct slice name = {spec, strcspn(spec, ":")};

    for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
        if (slice_equal(name, slice_of(faults[i].name)))
            return &faults[i];
    }
    return NULL;
}

bool fault_known(const char *spec)
{
    return find(spec) != NULL;
}

static bool act(struct session *session, const char *spec)
{
    const struct fault *fault = find(spec);
    const char *colon = strchr(spec, ':');

    if (!fault)
        return false;
    fault->act(session, colon ? colon + 1 : "");
    /* A stall of limited length only delays the usual reply. */
    return fault->replaces && !(fault->act == fault_stall && colon);
}

bool fault_acts(struct session *session, enum phase phase)
{
    struct knob_scope scope = session_scope(session);
    enum knob fault = (enum knob)(KNOB_FAULT + phase);

    return knob_fires(scope, fault) && act(session, knob_text(scope, fault, ""));
}

/* A reply with 2xx or 3xx only replaces the usual text; another is the verdict. */
const char *fault_reply(struct session *session, enum phase phase)
{
    struct knob_scope scope = session_scope(session);
    enum knob reply = (enum knob)(KNOB_REPLY + phase);
    const char *text;

    if (!knob_fires(scope, reply))
        return NULL;
    text = knob_text(scope, reply, "");
    if (*text != '2' && *text != '3')
        return text;
    slice_copy(slice_of(text), session->text, sizeof(session->text));
    return NULL;
}

bool fault_strikes(struct session *session, enum phase phase)
{
    const char *text;

    if (fault_acts(session, phase))
        return true;
    text = fault_reply(session, phase);
    if (text)
        session_reply_text(session, text);
    return text != NULL;
}
