// A real authorization server for the tests: oidc-provider over HTTPS, with refresh tokens
// that rotate, client credentials and private_key_jwt.
//
//   node server.mjs CONFIG.json
//
// CONFIG: {"port", "cert", "key": paths, "clients": [metadata of RFC 7591], "access_token_s"}.
// Says "ready" when it listens. Beside the endpoints: POST /mint?client_id=&account= gives a
// refresh token as a consent would; GET /events what went wrong and what was revoked.
import { readFileSync } from 'node:fs';
import https from 'node:https';
import Provider from 'oidc-provider';

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const issuer = `https://localhost:${config.port}`;
const SCOPE = 'openid offline_access mail';

const provider = new Provider(issuer, {
  clients: config.clients,
  clientAuthMethods: ['client_secret_post', 'client_secret_basic', 'private_key_jwt', 'none'],
  enabledJWA: {
    clientAuthSigningAlgValues: ['PS256', 'RS256'],
  },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
  },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  rotateRefreshToken: true,
  scopes: SCOPE.split(' '),
  ttl: {
    AccessToken: config.access_token_s,
    ClientCredentials: config.access_token_s,
    Grant: 86400,
    RefreshToken: 86400,
  },
});

const events = { errors: [], revoked: 0, granted: [] };
provider.on('grant.error', (ctx, error) => {
  events.errors.push(`${error.message}: ${error.error_description ?? ''} ${error.error_detail ?? ''}`);
});
provider.on('grant.revoked', () => { events.revoked += 1; });
provider.on('grant.success', (ctx) => { events.granted.push(ctx.oidc.params.grant_type); });

async function mint(clientId, accountId) {
  const client = await provider.Client.find(clientId);
  const grant = new provider.Grant({ accountId, clientId });

  grant.addOIDCScope(SCOPE);
  const token = new provider.RefreshToken({
    accountId,
    client,
    grantId: await grant.save(),
    gty: 'authorization_code',
    scope: SCOPE,
  });
  return token.save();
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
  } else if (url.pathname === '/events') {
    answer(events);
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
