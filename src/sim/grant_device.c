/* grant_type=...:device_code: the polls of a device whose user is elsewhere. */
#include "sim/devices.h"
#include "sim/token_request.h"

static void find(struct token_request *request)
{
    const char *code = token_field(request, "device_code");

    if (code)
        request->device = devices_find(&request->sim->devices, slice_of(code));
    if (request->device)
        request->account = request->device->account;
}

static bool check(struct token_request *request)
{
    struct device *device = request->device;

    if (!token_need(request, "device_code") || !client_identify(request) ||
        !client_authenticate(request, "7000218"))
        return false;
    if (!device || device->client != request->client)
        return token_fault(&request->fault, "bad_verification_code", NULL);
    if (!device_poll(device, request->knobs, &request->fault) ||
        !token_scope(request, device->scope))
        return false;
    device->state = DEVICE_DONE;
    token_give_refresh(request, request->scope.offline, device->scope);
    return true;
}

const struct token_grant grant_device = {"urn:ietf:params:oauth:grant-type:device_code",
                                         "device_code", find, check};
