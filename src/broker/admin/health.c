#include "broker/admin/handlers.h"
#include "broker/broker.h"

void health_live(struct admin_request *request)
{
    admin_reply(request, 200, json_pack("{s:s}", "status", "live"));
}

void health_ready(struct admin_request *request)
{
    bool ready = admin_broker(request)->ready;

    admin_reply(request, ready ? 200 : 503,
                json_pack("{s:s}", "status", ready ? "ready" : "not ready"));
}

void health_show(struct admin_request *request)
{
    bool ready = admin_broker(request)->ready;

    admin_reply(request, ready ? 200 : 503,
                json_pack("{s:s,s:s,s:b,s:b}", "status", ready ? "healthy" : "starting", "service",
                          "xoauth2-proxy-admin", "live", 1, "ready", ready));
}
