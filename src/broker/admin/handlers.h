/* The handlers of the routes in routes.c, by the file that has them. */
#pragma once

#include "broker/admin/request.h"

/* health.c */
admin_handler health_show, health_live, health_ready;
