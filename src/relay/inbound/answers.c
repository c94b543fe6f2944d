#include "relay/inbound/answers.h"

const struct answer_row answers[] = {
#define ANSWER_ROW(name, code, class_, subject, detail, text)                                      \
    [ANSWER_##name] = {code, {class_, subject, detail}, text},
    ANSWERS(ANSWER_ROW)
#undef ANSWER_ROW
};
