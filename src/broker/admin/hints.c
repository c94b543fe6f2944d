#include "broker/admin/hints.h"

#define TOKEN HOLD_TOKEN
#define PROVIDER HOLD_PROVIDER
#define CONSENT ACCOUNT_NEEDS_CONSENT
#define WRONG ACCOUNT_MISCONFIGURED

/* Tried top down. */
static const struct hint hints[] = {
    {HOLD_OPERATOR, ACCOUNT_DISABLED, NULL, "disabled",
     "Resume the account when it may send again."},

    /* The grant. */
    {TOKEN, CONSENT, "AADSTS50173", "grant_revoked",
     "The password was changed or the sign-in revoked: the mailbox's owner must sign in again "
     "(bearerctl login)."},
    {TOKEN, CONSENT, "AADSTS700082", "grant_expired",
     "The refresh token was not used for too long: the mailbox's owner must sign in again "
     "(bearerctl login)."},
    {TOKEN, CONSENT, "AADSTS70043", "sign_in_frequency",
     "A Conditional Access policy ends sign-ins after a time: exempt this application, or use an "
     "application permission (client credentials)."},
    {TOKEN, CONSENT, "AADSTS53003", "conditional_access",
     "A Conditional Access policy blocks this sign-in: allow this host's address or exempt the "
     "application."},
    {TOKEN, CONSENT, "AADSTS5007", "mfa_required",
     "The tenant demands multi-factor authentication: the owner must sign in again (bearerctl "
     "login) and pass it."},
    {TOKEN, CONSENT, "AADSTS50057", "user_disabled",
     "The user is disabled in the tenant: enable it there, or remove the account here."},
    {TOKEN, CONSENT, "AADSTS50034", "user_unknown",
     "The tenant has no such user: check the address and the tenant."},
    {TOKEN, CONSENT, "AADSTS65001", "consent_missing",
     "Nobody has consented to this application: the owner or an administrator must."},
    {TOKEN, CONSENT, "AADSTS50105", "not_assigned",
     "The user is not assigned to the application: assign it in the tenant."},
    {TOKEN, CONSENT, "admin_policy_enforced", "admin_policy",
     "The Workspace administrator restricts this application or scope: it must be allowed there."},
    {TOKEN, CONSENT, NULL, "grant_dead",
     "The refresh token is dead: the mailbox's owner must sign in again (bearerctl login). With "
     "Google this happens "
     "after a password change, after 7 days while the application is in testing, and when the "
     "owner revokes it."},

    /* The application. */
    {TOKEN, WRONG, "AADSTS7000222", "secret_expired",
     "The application's client secret has expired: make a new one in the Entra portal and set "
     "client_secret for all accounts of this client_id."},
    {TOKEN, WRONG, "AADSTS7000215", "secret_wrong",
     "The client secret is wrong: give the secret's value, not its id."},
    {TOKEN, WRONG, "AADSTS7000218", "secret_missing",
     "The application is confidential: give its client_secret."},
    {TOKEN, WRONG, "AADSTS700025", "secret_unwanted",
     "The application is public: remove client_secret from the account."},
    {TOKEN, WRONG, "AADSTS7000216", "secret_missing",
     "The grant needs a client_secret, or private_key and certificate."},
    {TOKEN, WRONG, "AADSTS700027", "certificate_unknown",
     "The assertion is refused: upload the certificate to the application in the Entra portal, "
     "and check that the key is that certificate's."},
    {TOKEN, WRONG, "AADSTS5002738", "assertion_algorithm",
     "The endpoint does not take the algorithm of the assertion: set assertion to RS256."},
    {TOKEN, WRONG, "AADSTS700021", "assertion_wrong",
     "The assertion does not belong to the client: check client_id."},
    {TOKEN, WRONG, "AADSTS700023", "assertion_wrong",
     "The assertion is for another token URL: check oauth_token_url and tenant."},
    {TOKEN, WRONG, "AADSTS50027", "assertion_wrong",
     "The endpoint cannot read the assertion: check private_key, certificate and assertion."},
    {TOKEN, WRONG, "AADSTS1002012", "scope_wrong",
     "Client credentials want a scope that ends in /.default: remove scope, or correct it."},
    {TOKEN, WRONG, "AADSTS28000", "scope_wrong",
     "The scope names several resources: only one is possible."},
    {TOKEN, WRONG, "AADSTS500011", "resource_unknown",
     "The tenant does not know the resource that the scope names: check scope and tenant."},
    {TOKEN, WRONG, "AADSTS7000112", "application_disabled",
     "The application is disabled: an administrator must enable it in the tenant."},
    {TOKEN, WRONG, "AADSTS700016", "application_unknown",
     "The tenant does not know the application: check client_id and tenant."},
    {TOKEN, WRONG, "AADSTS90002", "tenant_unknown", "There is no such tenant: check tenant."},
    {TOKEN, WRONG, "AADSTS900144", "parameter_missing",
     "The token endpoint misses a parameter, usually scope: set scope."},
    {TOKEN, WRONG, "AADSTS9001023", "tenant_needed",
     "This grant needs a tenant of its own: set tenant in place of common."},
    {TOKEN, WRONG, "Invalid JWT Signature", "key_unknown",
     "Google does not know the key of the service account: it was deleted there, or is another "
     "account's. Make a new key and set service_account."},
    {TOKEN, WRONG, "audience check", "token_url_wrong",
     "Google was asked at another URL than its own: remove oauth_token_url."},
    {TOKEN, WRONG, "Invalid email or User ID", "mailbox_unknown",
     "Google Workspace has no such mailbox, or it is suspended: check the address and sasl_user."},
    {TOKEN, WRONG, "account not found", "service_account_gone",
     "The service account was deleted or disabled: restore it, or make another one."},
    {TOKEN, WRONG, "using this method", "delegation_missing",
     "The mailbox's domain does not allow the service account: an administrator adds its client "
     "id with the scope https://mail.google.com/ under Security, API controls, Domain-wide "
     "delegation; it takes up to a day."},
    {TOKEN, WRONG, "for this mailbox", "mailbox_refused",
     "The token endpoint refuses a token for this mailbox: check the address, sasl_user and the "
     "application's rights."},
    {TOKEN, WRONG, "invalid_scope", "scope_wrong", "The scope is wrong: check scope."},
    {TOKEN, WRONG, "fresh access token", "token_refused",
     "The mail server refuses tokens that the token endpoint gives out: check that the scope is "
     "SMTP's, that sasl_user is the mailbox, and that SMTP AUTH is allowed for it."},
    {TOKEN, WRONG, NULL, "application_refused",
     "The token endpoint refuses the application: check client_id, client_secret, scope and "
     "tenant; all accounts with the same client_id are affected."},
    {TOKEN, ACCOUNT_THROTTLED, "short-lived token", "clock_differs",
     "This host's clock is wrong: have it set by NTP. What is signed is corrected by the "
     "endpoint's time already."},
    {TOKEN, ACCOUNT_THROTTLED, "AADSTS700024", "clock_differs",
     "This host's clock is wrong: have it set by NTP. What is signed is corrected by the "
     "endpoint's time already."},
    {TOKEN, ACCOUNT_THROTTLED, NULL, "no_token",
     "The token endpoint did not answer, or wants fewer requests; it is asked again by itself."},

    /* The provider's mail server. */
    {PROVIDER, WRONG, "5.7.139", "smtp_auth_disabled",
     "SMTP AUTH is off for this mailbox or tenant: Set-CASMailbox "
     "-SmtpClientAuthenticationDisabled "
     "$false, or the tenant's SMTP AUTH setting."},
    {PROVIDER, WRONG, "5.7.30", "basic_auth",
     "The server took the login for basic authentication: use XOAUTH2 (mechanism)."},
    {PROVIDER, WRONG, "5.7.144", "permission_missing",
     "The application lacks the permission to send: grant SMTP.Send, or SMTP.SendAsApp with "
     "access to the mailbox."},
    {PROVIDER, WRONG, "5.7.240", "application_not_allowed",
     "The tenant does not allow the application to send: allow it there."},
    {PROVIDER, WRONG, "5.7.9", "web_login",
     "Google wants a login in the browser: sign in to the mailbox once, and check that the token "
     "has the scope https://mail.google.com/."},
    {PROVIDER, WRONG, "logon failure", "mailbox_permission",
     "The application may not open the mailbox: Add-MailboxPermission FullAccess for its service "
     "principal; a new permission takes up to an hour."},
    {PROVIDER, WRONG, NULL, "login_refused",
     "The mail server refuses the login: check sasl_user, scope and the mailbox's SMTP AUTH "
     "setting."},
    {PROVIDER, ACCOUNT_PARKED, "5.2.2", "mailbox_full",
     "The mailbox is full, so that no copy of sent mail fits: empty it."},
    {PROVIDER, ACCOUNT_PARKED, NULL, "quota",
     "The provider's sending quota is used up: mail goes on by itself at the time given; use "
     "further mailboxes for more."},
    {PROVIDER, ACCOUNT_BLOCKED, "5.2.25", "error_throttled",
     "The provider has blocked the mailbox after repeated errors: mend their cause first, then "
     "wait; trying makes it longer."},
    {PROVIDER, ACCOUNT_BLOCKED, NULL, "sender_blocked",
     "The provider has blocked the mailbox from sending: find out why in the provider's "
     "administration, and have it lifted there."},
    {PROVIDER, ACCOUNT_THROTTLED, NULL, "throttled",
     "The provider wants less from this mailbox for now; mail goes on by itself."},
};

static const struct hint other = {HOLDS, ACCOUNT_ACTIVE, NULL, "unknown",
                                  "See the text; the log has more around this time."};

const struct hint *hint_of(enum hold_by by, enum account_state state, const char *text)
{
    for (size_t i = 0; i < sizeof(hints) / sizeof(*hints); i++) {
        const struct hint *hint = &hints[i];

        if (hint->by == by && hint->state == state &&
            (!hint->pattern || slice_find_nocase(slice_of(text), slice_of(hint->pattern)) >= 0))
            return hint;
    }
    return &other;
}

const struct hint *hint_find(const struct account *account)
{
    const struct hold *hold = account_worst(account);

    return hint_of(account->worst, hold->state, hold->text ? hold->text : "");
}
