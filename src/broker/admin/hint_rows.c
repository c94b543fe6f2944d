/* The table of causes and cures. doc/TROUBLESHOOTING.md is written from it by
 * tools/hint-docs, which also checks it. */
#include "broker/admin/hints.h"

/* Who said it: endpoint, server... */
#define O HINT_OPERATOR
#define A HINT_ADDRESS
#define C HINT_CONNECT
#define E HINT_ENDPOINT
#define T HINT_TOKEN
#define S HINT_SERVER
/* What it led to. */
#define ANY HINT_ANY_STATE
#define CONSENT ACCOUNT_NEEDS_CONSENT
#define WRONG ACCOUNT_MISCONFIGURED
#define THROTTLED ACCOUNT_THROTTLED
#define PARKED ACCOUNT_PARKED
#define BLOCKED ACCOUNT_BLOCKED
/* Of a provider's name. */
#define MS "outlook"
#define GOOGLE "gmail"

const struct hint hint_rows[] = {
    {O, ANY, NULL, NULL, "disabled",
     "Somebody paused the account. When it may send again: bearerctl accounts enable ADDRESS."},

    /* --- this host's addresses ------------------------------------------------------ */
    {A, ANY, NULL, "not an IP address", "address_malformed",
     "Correct it: bearerctl accounts set ADDRESS --ip-address IP."},
    {A, ANY, NULL, "which is off", "ipv6_off",
     "Set upstream.use_ipv6 to true and reload, or give the account an IPv4 address."},
    {A, ANY, NULL, "reserved range", "address_reserved",
     "Give the account a public address of this host; bearerctl addresses lists them."},
    {A, ANY, NULL, "duplicate address detection", "address_not_ready",
     "If another host has the address, take it away from there. Else wait: the account sends as "
     "soon as the kernel has the address ready."},
    {A, ANY, NULL, NULL, "address_missing",
     "This host does not have the address that the account sends from. Add it to an interface (ip "
     "address add IP dev INTERFACE, and in the network's configuration, so that a restart keeps "
     "it), or give the account another one; bearerctl addresses lists those that are there. Mail "
     "goes on by itself when the address is back."},
    {C, ANY, NULL, "Cannot assign requested address", "address_missing",
     "This host does not have the address that the account sends from: add it to an interface, or "
     "give the account another one; bearerctl addresses lists those that are there."},
    {C, ANY, NULL, "one is IPv4 and the other IPv6", "address_family",
     "The server has no address of the same family as the account's source address: give the "
     "account an ip_address of the other family, or set upstream.use_ipv6."},

    /* --- what the access token says --------------------------------------------------- */
    {T, ANY, MS, "graph.microsoft.com|00000003-0000-0000-c000-000000000000", "audience_graph",
     "The token is for Microsoft Graph, which the mail server refuses with 535 5.7.3: the scope is "
     "the wrong one. Set scope to https://outlook.office.com/SMTP.Send offline_access (for client "
     "credentials: https://outlook.office365.com/.default) and let the owner consent to it anew; "
     "one request can have scopes of one resource only."},
    {T, ANY, MS, "is not Exchange", "audience_wrong",
     "The token is for another service than Exchange Online, so the mail server will refuse it: "
     "set scope to https://outlook.office.com/SMTP.Send offline_access, or in another cloud to "
     "that one's."},
    {T, ANY, MS, "has no SMTP.Send", "scope_missing",
     "The token gives no right to send by SMTP: ask for the scope "
     "https://outlook.office.com/SMTP.Send and let the owner consent to it. IMAP.AccessAsUser.All "
     "or Mail.Send do not suffice."},
    {T, ANY, MS, "has no role SMTP.SendAsApp", "role_missing",
     "Either grant the application permission SMTP.SendAsApp (Office 365 Exchange Online, not "
     "Graph) with an administrator's consent, or give the application the Exchange RBAC role "
     "\"Application SMTP.SendAsApp\", which the token does not show."},
    {T, ANY, NULL, "expired", "token_expired",
     "The token was over when it came. Have this host's clock set by NTP (timedatectl) and check "
     "again; if it stays so, the token endpoint gives out old tokens."},
    {T, ANY, NULL, "clock", "clock_differs",
     "This host's clock is wrong: have it set by NTP (timedatectl). bearerd corrects what it signs "
     "and how long it uses tokens by the endpoint's time, so mail goes on."},

    /* --- the grant: one account, a person must act -------------------------------------- */
    {E, ANY, NULL, "AADSTS50173", "grant_revoked",
     "The password was changed or the sign-in revoked: the mailbox's owner must sign in again "
     "(bearerctl login ADDRESS)."},
    {E, ANY, NULL, "AADSTS700082|AADSTS70008", "grant_expired",
     "The refresh token was not used for too long, or has reached its end: the mailbox's owner "
     "must sign in again (bearerctl login ADDRESS)."},
    {E, ANY, NULL, "AADSTS70000", "grant_invalid",
     "Microsoft does not know this refresh token: it was revoked, belongs to another application "
     "or tenant, or was cut when it was copied. The mailbox's owner must sign in again (bearerctl "
     "login ADDRESS)."},
    {E, ANY, NULL, "AADSTS70043", "sign_in_frequency",
     "A Conditional Access policy ends sign-ins after a time: the owner must sign in again "
     "(bearerctl login ADDRESS). So that it does not come back, exempt this application, or use an "
     "application permission (client credentials)."},
    {E, ANY, NULL, "AADSTS53003|AADSTS530035", "conditional_access",
     "A Conditional Access policy, or the tenant's security defaults, block this sign-in. The "
     "sign-in log in the Entra portal names the policy: allow this host's address in it, or exempt "
     "the application."},
    {E, ANY, NULL, "AADSTS50074|AADSTS50076|AADSTS50079", "mfa_required",
     "The tenant demands multi-factor authentication: the owner must sign in again (bearerctl "
     "login ADDRESS) and pass it."},
    {E, ANY, NULL, "AADSTS50057", "user_disabled",
     "The user is disabled in the tenant: enable it there, or remove the account here."},
    {E, ANY, NULL, "AADSTS50034", "user_unknown",
     "The tenant has no such user: check the address and the tenant."},
    {E, ANY, NULL, "AADSTS65001|consent_required", "consent_missing",
     "Nobody has consented to this application and scope: the owner signs in again and allows it, "
     "or an administrator does for all (Entra portal, Enterprise applications, Permissions)."},
    {E, ANY, NULL, "AADSTS50105", "not_assigned",
     "The user is not assigned to the application: assign it in the Entra portal under Enterprise "
     "applications, Users and groups."},
    {E, ANY, NULL, "invalid_rapt|rapt_required|reauth related", "session_control",
     "Google Workspace's session control wants a fresh sign-in: the administrator exempts this "
     "application (Security, Google Cloud session control), then the owner signs in again."},
    {E, ANY, NULL, "admin_policy_enforced", "admin_policy",
     "The Workspace administrator restricts this application or scope: it must be allowed under "
     "Security, API controls, App access control. Then the owner signs in again."},

    /* --- the application: all accounts of the client ------------------------------------ */
    {E, ANY, NULL, "AADSTS7000222", "secret_expired",
     "The application's client secret has expired: make a new one in the Entra portal "
     "(Certificates and secrets) and set client_secret for all accounts of this client_id."},
    {E, ANY, NULL, "AADSTS7000215", "secret_wrong",
     "The client secret is wrong: give the secret's value, not its id."},
    {E, ANY, NULL, "AADSTS7000218", "secret_missing",
     "The application is confidential: give its client_secret; or, if it should be a public one, "
     "set \"Allow public client flows\" in the Entra portal."},
    {E, ANY, NULL, "AADSTS700025", "secret_unwanted",
     "The application is public: remove client_secret from the account."},
    {E, ANY, NULL, "AADSTS7000216", "secret_missing",
     "The grant needs a client_secret, or private_key and certificate."},
    {E, ANY, NULL, "client_secret is missing", "secret_missing",
     "Google wants this client's secret: give client_secret."},
    {E, ANY, NULL, "AADSTS700027", "certificate_unknown",
     "The assertion is refused: upload the certificate to the application in the Entra portal, "
     "and check that the key is that certificate's."},
    {E, ANY, NULL, "AADSTS5002738", "assertion_algorithm",
     "The endpoint does not take the algorithm of the assertion: set assertion to RS256."},
    {E, ANY, NULL, "AADSTS700021", "assertion_wrong",
     "The assertion does not belong to the client: check client_id."},
    {E, ANY, NULL, "AADSTS700023", "assertion_wrong",
     "The assertion is for another token URL: check oauth_token_url and tenant."},
    {E, ANY, NULL, "AADSTS50027|AADSTS50013", "assertion_wrong",
     "The endpoint cannot use the assertion: check private_key, certificate and assertion."},
    {E, ANY, NULL, "AADSTS700024|short-lived token", "clock_differs",
     "This host's clock is wrong: have it set by NTP (timedatectl). What is signed is corrected by "
     "the endpoint's time already."},
    {E, ANY, NULL, "AADSTS1002012", "scope_wrong",
     "Client credentials want a scope that ends in /.default: remove scope, or correct it."},
    {E, ANY, NULL, "AADSTS28000", "scope_wrong",
     "The scope names several resources: only one is possible."},
    {E, ANY, NULL, "AADSTS500011", "resource_unknown",
     "The tenant does not know the resource that the scope names: check scope and tenant."},
    {E, ANY, NULL, "AADSTS7000112|disabled_client", "application_disabled",
     "The application is disabled: an administrator must enable it, in the Entra portal or the "
     "Google Cloud console."},
    {E, ANY, NULL, "AADSTS700016", "application_unknown",
     "The tenant does not know the application: check client_id and tenant."},
    {E, ANY, NULL, "deleted_client|OAuth client was not found", "application_unknown",
     "Google does not know this client_id, or it was deleted: make a client in the Google Cloud "
     "console (APIs and services, Credentials), set client_id and client_secret, and let the "
     "owners sign in again, for refresh tokens belong to their client."},
    {E, ANY, NULL, "AADSTS90002", "tenant_unknown",
     "There is no such tenant: check tenant, and that oauth_token_url is the right cloud's."},
    {E, ANY, NULL, "AADSTS900144", "parameter_missing",
     "The token endpoint misses a parameter, usually scope: set scope."},
    {E, ANY, NULL, "AADSTS9001023", "tenant_needed",
     "This grant needs a tenant of its own: set tenant in place of common."},
    {E, ANY, NULL, "Invalid JWT Signature", "key_unknown",
     "Google does not know the key of the service account: it was deleted there, or is another "
     "account's. Make a new key and set service_account."},
    {E, ANY, NULL, "audience check", "token_url_wrong",
     "Google was asked at another URL than its own: remove oauth_token_url."},
    {E, ANY, NULL, "Invalid email or User ID", "mailbox_unknown",
     "Google Workspace has no such mailbox, or it is suspended: check the address and sasl_user."},
    {E, ANY, NULL, "account not found", "service_account_gone",
     "The service account was deleted or disabled: restore it, or make another one."},
    {E, ANY, NULL, "using this method", "delegation_missing",
     "The mailbox's domain does not allow the service account: an administrator adds its client "
     "id with the scope https://mail.google.com/ under Security, API controls, Domain-wide "
     "delegation; it takes up to a day."},
    {E, ANY, NULL, "AADSTS70011|invalid_scope", "scope_wrong",
     "The endpoint does not know the scope: correct it, or remove it so that the provider's own "
     "is used. Google's is https://mail.google.com/, Microsoft's "
     "https://outlook.office.com/SMTP.Send offline_access."},
    {E, ANY, NULL, "org_internal", "application_internal",
     "The Google application is for its own organization only: set its user type to External, or "
     "use an application of the mailbox's own organization."},
    {E, WRONG, NULL, "unauthorized_client", "client_mismatch",
     "The refresh token, or this grant, is not this client's: check client_id, and that it is the "
     "one the owner has signed in with."},
    {E, WRONG, NULL, "invalid_client", "client_refused",
     "client_id and client_secret do not fit together, or the secret was replaced: compare both "
     "with the provider's console; all accounts with the same client_id are affected."},
    {E, WRONG, NULL, "unsupported_grant_type|AADSTS70003", "grant_unsupported",
     "The endpoint does not have this kind of grant: check grant and oauth_token_url."},
    {E, WRONG, NULL, "invalid_request", "request_invalid",
     "The endpoint misses something in the request: check client_id, scope, tenant, extra and "
     "oauth_token_url."},

    /* --- the endpoint's own troubles ------------------------------------------------------ */
    {E, THROTTLED, NULL, "AADSTS50196", "asked_too_often",
     "Microsoft saw the same request too often and blocks it for a while; it is asked again by "
     "itself. If it comes back, see whether something else, perhaps a second bearerd, uses the "
     "same "
     "refresh token."},
    {E, THROTTLED, NULL, "HTTP 429|AADSTS90055|rate limit|rate_limit|ratelimit|quota|slow_down",
     "endpoint_throttles",
     "The token endpoint wants fewer requests; it is asked again by itself, at the time that it "
     "named. With very many accounts lower oauth.concurrency, or spread them over more clients."},
    {E, THROTTLED, NULL,
     "HTTP 500|HTTP 502|HTTP 503|HTTP "
     "504|AADSTS90033|AADSTS50033|AADSTS90006|AADSTS90012|AADSTS90024|AADSTS70012|AADSTS50087|"
     "AADSTS90090|temporarily_unavailable|server_error|internal_failure|HTTP 408",
     "endpoint_trouble",
     "The token endpoint has troubles of its own; it is asked again by itself. The provider's "
     "status page may know more."},
    {E, THROTTLED, NULL, "HTTP 200|the answer|the access token", "answer_unusable",
     "What answers is not the token endpoint, or not only: a proxy's or captive portal's page? "
     "Check oauth_token_url and the way there. It is asked again by itself."},

    /* --- reaching a server ----------------------------------------------------------- */
    {C | E, ANY, NULL, "could not resolve|cannot find the address", "name_not_found",
     "The host's name has no address. Check its spelling (oauth_endpoint, oauth_token_url, or the "
     "provider's settings), and that this host's DNS works: getent hosts NAME, /etc/resolv.conf."},
    {C | E, ANY, NULL, "certificate has expired", "certificate_expired",
     "The server's certificate is past its end: whoever runs the server must renew it. If the date "
     "that is shown is still to come, this host's clock is wrong: timedatectl."},
    {C | E, ANY, NULL, "not yet valid", "certificate_too_early",
     "The server's certificate is not valid yet: this host's clock is probably behind, see "
     "timedatectl."},
    {C | E, ANY, NULL,
     "hostname mismatch|IP address mismatch|no alternative certificate|does not match",
     "certificate_name",
     "The certificate is for other names than the host that was asked for: correct the host "
     "(oauth_endpoint, oauth_token_url, or the provider's settings). If the name is right, "
     "something between here and there answers in its place: a proxy, a firewall, DNS."},
    {C | E, ANY, NULL,
     "self-signed certificate in certificate chain|unable to get local issuer|unable to get issuer|"
     "unable to verify the first",
     "certificate_untrusted",
     "No authority that this host trusts has signed the certificate. Where the provider is a "
     "public one, bring the system's trust store up to date (ca-certificates), and suspect a "
     "firewall that looks into TLS. Where it is your own, add its authority's certificate to "
     "ca_file (which then replaces the system's, so keep those in it)."},
    {C | E, ANY, NULL, "self-signed certificate|self signed certificate", "certificate_self_signed",
     "The certificate is signed by itself and trusted by nobody. No public provider has such a "
     "one: something answers in its place. For a server of your own add the certificate to "
     "ca_file (which then replaces the system's, so keep those in it)."},
    {C | E, ANY, NULL, "wrong version number|packet length too long|http request|unknown protocol",
     "tls_not_spoken",
     "The port does not begin with TLS. At a mail server, 465 wants tls: implicit, 587 and 25 want "
     "tls: starttls."},
    {C, ANY, NULL, "does not offer STARTTLS", "starttls_missing",
     "The server has no TLS on this port, and without it no token is sent. Use port 587 or 465 of "
     "the right host; a firewall that rewrites SMTP may hide it, too (inspection of SMTP, "
     "\"fixup\")."},
    {C | E, ANY, NULL,
     "unsupported protocol|no protocols available|protocol version|handshake fail", "tls_too_old",
     "The two sides have no version or cipher of TLS in common; bearerd wants TLS 1.2 or newer."},
    {C | E, ANY, NULL, "Connection refused|Couldn't connect", "refused",
     "Nothing listens at this address and port, or a firewall refuses: check host and port."},
    {C | E, ANY, NULL, "unreachable|no route", "unreachable",
     "There is no route to the server from this host, or from the account's address: check ip "
     "route get ADDRESS, and that the source address may go out (for IPv6: that the host has it)."},
    {C | E, ANY, NULL, "timed out|timeout was reached|connection timeout|no answer", "timeout",
     "Nothing came back: try nc -vz HOST PORT on this host. A firewall may drop the packets; where "
     "it is a mail server, the hosting provider may block outgoing mail ports, so try 587 in the "
     "place of 465 or 25."},
    {C | E, ANY, NULL,
     "connection reset|closed by the provider|recv failure|send failure|empty reply",
     "connection_lost",
     "The server, or something in between, ended the connection: try again. If it stays so, the "
     "address that the connection comes from may be blocked there."},
    {C, ANY, NULL, "it ends in", "certificate_ends_soon",
     "The server's certificate ends soon. Public providers renew theirs by themselves; for a "
     "server of your own, do."},
    {C, ANY, NULL, NULL, "not_reached",
     "The server cannot be reached as it should; the text says at which step it fails."},
    {E, THROTTLED, NULL, NULL, "no_token",
     "The token endpoint did not answer as it should; it is asked again by itself."},

    /* --- the rest of what an endpoint says --------------------------------------------------- */
    {E, CONSENT, NULL, NULL, "grant_dead",
     "The refresh token is dead: the mailbox's owner must sign in again (bearerctl login ADDRESS). "
     "With Google this happens after a password change, after 6 months without use, after 7 days "
     "while the application is in testing, beyond 100 tokens of one client, and when the owner "
     "revokes it."},
    {E, WRONG, NULL, "for this mailbox", "mailbox_refused",
     "The token endpoint refuses a token for this mailbox: check the address, sasl_user and the "
     "application's rights."},

    /* --- our own limits, before the mail server is asked
       ------------------------------------------ */
    {S, ANY, NULL, "logins_per_minute", "logins_limited",
     "The account has logged in as often as upstream.logins_per_minute allows, or the server has "
     "asked for a pause: try again after the time that is named."},
    {S, ANY, NULL, "connections are at work", "connections_busy",
     "All connections that the account may have are sending: nothing is wrong with it. Check again "
     "when it is less busy."},
    {S, ANY, NULL, "relay process|relay is shutting|taken its place", "relay_busy",
     "bearerd is busy with itself: try again in a moment; if it stays so, see the log."},

    /* --- logging in at the mail server (also as a fresh token's refusal) ------------------------
     */
    {S, ANY, NULL, "5.7.139", "smtp_auth_disabled",
     "SMTP AUTH is off for this mailbox or tenant. For the mailbox: Set-CASMailbox ADDRESS "
     "-SmtpClientAuthenticationDisabled $false (Exchange Online PowerShell), or in the Microsoft "
     "365 admin center under Active users, Mail, Manage email apps, Authenticated SMTP. For the "
     "tenant: Set-TransportConfig -SmtpClientAuthenticationDisabled $false. Security defaults "
     "forbid it, too. It takes up to an hour."},
    {S, ANY, MS, "5.7.30", "basic_auth",
     "The server took the login for basic authentication: use XOAUTH2 (mechanism)."},
    {S | E, ANY, NULL, "5.7.142|5.7.143|5.5.127", "token_ending",
     "The server refuses tokens that end within minutes: set refresh_ahead to 15m or more, and "
     "check this host's clock (timedatectl)."},
    {S, ANY, NULL, "5.7.144", "permission_missing",
     "The application lacks the permission to send: grant SMTP.Send, or SMTP.SendAsApp with "
     "access to the mailbox."},
    {S, ANY, NULL, "5.7.240", "application_not_allowed",
     "The tenant does not allow the application to send: allow it there."},
    {S | E, ANY, MS, "5.7.3", "token_refused",
     "Microsoft refuses the token, most often because it is for something else: scope must be "
     "https://outlook.office.com/SMTP.Send (a Graph scope gives this very error), sasl_user must "
     "be the mailbox, and for client credentials the application's service principal needs "
     "FullAccess to it (New-ServicePrincipal with the object id of the Enterprise application, "
     "then Add-MailboxPermission). bearerctl check ADDRESS shows what the token says."},
    {S | E, ANY, GOOGLE, "5.7.8", "token_refused",
     "Google refuses the token: the scope must be https://mail.google.com/ (gmail.send does not "
     "suffice for SMTP), and sasl_user must be the mailbox that signed in, for a service account "
     "the mailbox that it stands for. In Workspace the administrator must have Gmail turned on for "
     "the user."},
    {S, ANY, GOOGLE, "5.7.9|5.7.14", "web_login",
     "Google wants a login in the browser: sign in to the mailbox once and answer what it asks, "
     "and check that the token has the scope https://mail.google.com/."},
    {S, ANY, NULL, "too many login", "too_many_logins",
     "The server wants fewer logins: they pause for some minutes by themselves. If it comes back, "
     "lower upstream.logins_per_minute, let connections live longer, and see who else logs in to "
     "the mailbox."},
    {S, ANY, NULL, "454 4.7.0", "login_later",
     "The server cannot decide on logins now: they are tried again by themselves."},
    {S, ANY, NULL, "Cannot Decode", "sasl_user_wrong",
     "Google does not accept the name in the login: for a service account, sasl_user must be the "
     "mailbox that it stands for, not the service account's own address."},
    {S, ANY, NULL, "5.5.121|5.5.122|5.5.123|5.5.124|5.5.125|5.5.126|command line too long|5.5.6",
     "login_malformed",
     "The server does not understand the login: check sasl_user and mechanism. If both are right, "
     "this is a fault of bearerd's: please report it with the log."},
    {S, ANY, NULL, "504 5.7.4|neither XOAUTH2 nor OAUTHBEARER", "mechanism_missing",
     "The server offers no login by token here: check the host, and mechanism (auto fits all known "
     "providers)."},
    {S, ANY, NULL, "closing connection. (EHLO)|501 5.5.4|Empty HELO", "ehlo_name",
     "The server does not like the name that bearerd gives in EHLO: set upstream.helo to this "
     "host's full name, one that DNS knows."},
    {S, ANY, NULL, "5.7.57|530 5.7.0|530 5.5.1", "login_lost",
     "The server forgot the login; a new connection is made by itself. If it stays so, SMTP AUTH "
     "may be off for the mailbox."},

    /* --- what the mailbox may send ---------------------------------------------------------------
     */
    {S, ANY, NULL, "logon failure|430 4.2.0", "mailbox_permission",
     "The application may not open the mailbox: Add-MailboxPermission -Identity ADDRESS -User "
     "SERVICE-PRINCIPAL -AccessRights FullAccess, with the object id of the Enterprise "
     "application; a new permission takes up to an hour."},
    {S, ANY, NULL, "submission rate", "too_fast",
     "More than 30 messages a minute from this mailbox: mail goes on with the next minute. Set "
     "messages_per_minute to 30 or less, and see who else sends with the mailbox."},
    {S, ANY, NULL, "432 4.3.2", "too_many_connections",
     "More than 3 at once from this mailbox, perhaps with another program's: bearerd uses fewer "
     "for a while by itself."},
    {S, ANY, NULL, "550 5.2.251|550 5.2.252|550 5.2.253|550 5.2.254|550 5.2.255", "error_throttled",
     "The provider has blocked the mailbox after repeated errors, and nobody can lift it: mend "
     "their cause first (.251 mailbox full, .252 a From it may not use, .253 no licence, .254 too "
     "many recipients, .255 bad addresses), then wait; trying makes it longer."},
    {S, ANY, NULL, "5.2.252|SendAsDenied|5.7.60", "send_as_denied",
     "The mailbox may not send with this From address: grant it (Add-RecipientPermission ADDRESS "
     "-AccessRights SendAs -Trustee MAILBOX), or have the client use the mailbox's own. Only this "
     "message is refused, but repeated ones block the mailbox."},
    {S, ANY, MS, "5.7.512", "from_invalid",
     "The message has no From header, or a broken one: the client must send a good one."},
    {S, ANY, NULL, "554 5.2.2|mailbox full", "mailbox_full",
     "The mailbox is full, so that no copy of sent mail fits: empty it, Sent Items first, or give "
     "it more room. It is tried again every hour."},
    {S, PARKED, GOOGLE, "5.4.5", "quota",
     "The day's sending quota is used up (500 a day for gmail.com, 2,000 in Workspace): mail goes "
     "on by itself at the time given; set the provider's messages_per_day below it, and use "
     "further "
     "mailboxes for more."},
    {S, PARKED, NULL, NULL, "quota",
     "The provider's sending quota is used up: mail goes on by itself at the time given; use "
     "further mailboxes for more."},
    {S, ANY, NULL, "5.1.8|5.7.501|5.7.502|5.7.503|5.7.511", "sender_blocked",
     "Microsoft has blocked the mailbox for spam: secure it (password, rules, sign-ins), then "
     "remove it from the restricted entities in the Defender portal (Email and collaboration, "
     "Review). It takes up to a day."},
    {S, ANY, NULL, "5.7.705|5.7.708", "tenant_blocked",
     "Microsoft limits the whole tenant, or this host's address, for its reputation: stop what "
     "sends too much, and ask Microsoft's support to lift it; new tenants must wait."},
    {S, ANY, NULL, "OutboundSpamException", "spam_suspected",
     "Microsoft takes the mailbox's mail for spam and has suspended it: look at what is sent, "
     "secure the mailbox, and lift it in the Defender portal (Review, Restricted entities)."},
    {S, ANY, NULL, "Mail Sending denied", "sending_denied",
     "Google does not let this account send, usually because it is suspended: sign in to it in a "
     "browser, or have the Workspace administrator look at the user."},
    {S, BLOCKED, NULL, NULL, "sender_blocked",
     "The provider has blocked the mailbox from sending: find out why in the provider's "
     "administration, and have it lifted there."},

    /* --- recipients and messages: the account goes on
       ---------------------------------------------- */
    {S, ANY, NULL, "452 4.5.3|550 5.5.3", "too_many_recipients",
     "Too many recipients in one message (100 at Gmail over SMTP, 500 at Microsoft by default): "
     "the client sends the rest in another message."},
    {S, ANY, NULL, "550 5.1.1|5.1.10|550 5.4.1|553 5.1.2|553 5.1.3|501 5.1.3|550 5.2.1",
     "recipient_unknown",
     "The recipient's address does not exist, or is wrong: the client should remove it."},
    {S, ANY, NULL, "552 5.2.3|552 5.3.4", "message_too_big",
     "The message is larger than the provider takes: 25 MB at Gmail, 35 MB at Microsoft unless the "
     "mailbox's MaxSendSize was raised."},
    {S, ANY, NULL, "552 5.7.0", "attachment_refused",
     "Google refuses the attachment's type: send it another way."},
    {S, ANY, NULL, "5.6.11", "bare_newlines",
     "The message has bare line feeds: the client must end lines with CRLF; or set "
     "limits.bare_newlines to "
     "normalize."},
    {S, ANY, NULL, "554 5.6.0|550 5.6|555 5.5.2", "message_malformed",
     "The server cannot read the message or a command: look at the client's message, and at the "
     "text."},
    {S, ANY, GOOGLE, "Mail relay denied|credentials for relay", "relay_denied",
     "smtp-relay.gmail.com does not know this host or user: set up the SMTP relay service in the "
     "Workspace console (Apps, Gmail, Routing), or use smtp.gmail.com."},
    {S, ANY, GOOGLE, "4.7.28", "rate_unusual",
     "Google sees an unusual rate of mail from here: send more slowly, and not the same message "
     "again and again."},
    {S, ANY, NULL, "550 5.7.1", "content_refused",
     "The server refuses this message for its content, or by a policy: the text says which."},

    /* --- the mail server's own troubles
       --------------------------------------------------------------- */
    {S, ANY, NULL, "timeout waiting|connection expired|session duration|451 4.4.2|4.4.1",
     "connection_old",
     "The server ended an old connection; the next message has a new one by itself."},
    {S, ANY, NULL, "421|450|451", "server_trouble",
     "The server has troubles of its own, or too much to do; it is tried again by itself."},
    {S, THROTTLED, NULL, NULL, "throttled",
     "The provider wants less from this mailbox for now; mail goes on by itself."},
    {S, WRONG, NULL, NULL, "login_refused",
     "The mail server refuses the login: check sasl_user, scope and the mailbox's SMTP AUTH "
     "setting."},
    {S, ANY, NULL, "no answer in|no answer in time", "timeout",
     "The server says nothing at this step: it is overloaded, or something in between holds the "
     "connection up. Try again; see the provider's status page."},
    {S, ANY, NULL, "closed by|reset", "connection_lost",
     "The server ended the connection at this step: try again. If it stays so, the address that "
     "the connection comes from may be blocked there."},

    /* --- what is left
       --------------------------------------------------------------------------------- */
    {E, WRONG, NULL, "fresh access token", "token_refused",
     "The mail server refuses tokens that the token endpoint gives out: check that the scope is "
     "SMTP's, that sasl_user is the mailbox, and that SMTP AUTH is allowed for it. bearerctl check "
     "ADDRESS shows what the token says."},
    {E, WRONG, NULL, NULL, "application_refused",
     "The token endpoint refuses the application: check client_id, client_secret, scope and "
     "tenant; all accounts with the same client_id are affected."},
    {O | A | C | E | T | S, ANY, NULL, NULL, "unknown",
     "See the text; the log has more around this time."},
};

const size_t hint_row_count = sizeof(hint_rows) / sizeof(*hint_rows);
