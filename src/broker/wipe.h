/* Moved: bearerctl holds secrets too. */
#pragma once

#include "base/wipe.h"
