// A real authorization server for the tests: oidc-provider over HTTPS, with refresh tokens
// that rotate, client credentials, private_key_jwt, and people who sign in, in a browser or by
// a code on another device.
//
//   node server.mjs CONFIG.json
//
// CONFIG: {"port", "cert", "key": paths, "clients": [metadata of RFC 7591], "access_token_s"}.
// Says "ready" when it listens. Beside the endpoints: POST /mint?client_id=&account= gives a
// refresh token as a consent would; POST /user?account= names who sits at every browser and
// consents to everything ("" declines); GET /events what went wrong and what was revoked.
import { readFileSync } from 'node:fs';
import https from 'node:https';
import Provider from 'oidc-provider';

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const issuer = `https://localhost:${config.port}`;
const SCOPE = 'openid offline_access mail';

const provider = new Provider(issuer, {
  claims: { email: ['email', 'email_verified'] },
  clients: config.clients,
  clientAuthMethods: ['client_secret_post', 'client_secret_basic', 'private_key_jwt', 'none'],
  conformIdTokenClaims: false,
  enabledJWA: {
    clientAuthSigningAlgValues: ['PS256', 'RS256'],
  },
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
  },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: id, email_verified: true }),
  }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  scopes: `${SCOPE} email`.split(' '),
  ttl: {
    AccessToken: config.access_token_s,
    AuthorizationCode: 60,
    ClientCredentials: config.access_token_s,
    DeviceCode: 600,
    Grant: 86400,
    Interaction: 600,
    RefreshToken: 86400,
    Session: 600,
  },
});

const events = { errors: [], revoked: 0, granted: [] };
provider.on('grant.error', (ctx, error) => {
  events.errors.push(`${error.message}: ${error.error_description ?? ''} ${error.error_detail ?? ''}`);
});
provider.on('grant.revoked', () => { events.revoked += 1; });
provider.on('grant.success', (ctx) => { events.granted.push(ctx.oidc.params.grant_type); });

async function grantOf(accountId, clientId, scope) {
  const grant = new provider.Grant({ accountId, clientId });

  grant.addOIDCScope(scope);
  return grant.save();
}

async function mint(clientId, accountId) {
  const token = new provider.RefreshToken({
    accountId,
    client: await provider.Client.find(clientId),
    grantId: await grantOf(accountId, clientId, SCOPE),
    gty: 'authorization_code',
    scope: SCOPE,
  });
  return token.save();
}

let user = '';

// Who sits there says yes to everything that is asked for, or no to all of it.
async function interact(request, response) {
  const { params } = await provider.interactionDetails(request, response);
  const result = user
    ? {
      login: { accountId: user },
      consent: { grantId: await grantOf(user, params.client_id, params.scope) },
    }
    : { error: 'access_denied', error_description: 'nobody wants to sign in' };

  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const inner = provider.callback();

async function handle(request, response) {
  const url = new URL(request.url, issuer);
  const answer = (value) => {
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(value));
  };

  if (url.pathname === '/mint') {
    answer({ refresh_token: await mint(url.searchParams.get('client_id'), url.searchParams.get('account')) });
  } else if (url.pathname === '/user') {
    user = url.searchParams.get('account');
    answer({});
  } else if (url.pathname === '/events') {
    answer(events);
  } else if (url.pathname.startsWith('/interaction/')) {
    await interact(request, response);
  } else {
    inner(request, response);
  }
}

https.createServer({ cert: readFileSync(config.cert), key: readFileSync(config.key) }, (request, response) => {
  handle(request, response).catch((error) => {
    response.statusCode = 500;
    response.end(String(error.stack));
  });
}).listen(config.port, 'localhost', () => process.stdout.write('ready\n'));
