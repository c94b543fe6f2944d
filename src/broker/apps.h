/* The applications of the configuration: their files are read, and their keys tried,
 * before anything takes effect. */
#pragma once

#include "conf/conf.h"

bool apps_prepare(struct conf *conf, struct reason *why);
