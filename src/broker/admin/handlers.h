/* The handlers of the routes in routes.c, by the file that has them. */
#pragma once

#include "broker/admin/request.h"

/* health.c */
admin_handler health_show, health_live, health_ready;
/* status.c */
admin_handler status_show;
/* config.c */
admin_handler config_show;
/* control.c */
admin_handler control_reload, control_drain, control_log_show, control_log_set;
/* rekey.c */
admin_handler rekey_begin;
/* addresses.c */
admin_handler addresses_show;
/* api_token_routes.c */
admin_handler api_tokens_list, api_tokens_create, api_tokens_delete;
/* login_routes.c */
admin_handler logins_begin, logins_show, logins_finish, logins_delete;
/* metrics.c */
admin_handler metrics_show;
/* openapi.c */
admin_handler openapi_show;
