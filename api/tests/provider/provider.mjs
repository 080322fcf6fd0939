// An identity provider for tests: oidc-provider (certified OpenID Connect), with accounts of its own, a page to sign in,
// and ways to be told to misbehave.
//
//   node provider.mjs --port 0 --client-id roadlake --redirect-uri http://127.0.0.1:8080/v1/sign-in/callback
//
// Says `ready ISSUER` when it listens. Options:
//   --port N                    0 takes a free one (default 0)
//   --client-id ID              the console's client (default roadlake)
//   --client-secret TEXT        its secret; without one it is a public client
//   --redirect-uri URI          where it may send people back to; may be given again
//   --sign-out-uri URI          where it may send them after signing out; may be given again
//   --id-token-alg ALG          RS256 (default), PS256, ES256, ES384 or EdDSA
//   --claims-in PLACE           `userinfo` (default, as the specification has it) or `id-token`
//   --access-token-s N          how long an access token is good (default 600)
//   --with-parent               ends when its input does: with the process that started it
//
// A second client, `program`, takes access tokens that are JWTs for the audience `https://api.fleet.example`.
//
// Test controls, as JSON: `POST /test/away {"away": true}` answers everything with 503; `POST /test/accounts/anna
// {"is_disabled": true}` closes an account; `GET /test/counts` tells how often what was asked.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import Provider from 'oidc-provider';
import { accounts } from './accounts.mjs';
import { interactionAt } from './interaction.mjs';
import { newKeys } from './keys.mjs';

const { values: given } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'client-id': { type: 'string', default: 'roadlake' },
    'client-secret': { type: 'string' },
    'redirect-uri': { type: 'string', multiple: true, default: [] },
    'sign-out-uri': { type: 'string', multiple: true, default: [] },
    'id-token-alg': { type: 'string', default: 'RS256' },
    'claims-in': { type: 'string', default: 'userinfo' },
    'access-token-s': { type: 'string', default: '600' },
    'with-parent': { type: 'boolean', default: false },
  },
});

const AUDIENCE = 'https://api.fleet.example';
const state = { away: false, disabled: new Set(), counts: {} };

function count(what) {
  state.counts[what] = (state.counts[what] ?? 0) + 1;
}

function accountOf(id) {
  const account = accounts[id];
  if (!account || state.disabled.has(id)) return undefined;
  return { accountId: id, claims: () => ({ sub: id, ...account }) };
}

function clients() {
  const secret = given['client-secret'];
  return [
    {
      client_id: given['client-id'],
      ...(secret ? { client_secret: secret } : {}),
      token_endpoint_auth_method: secret ? 'client_secret_basic' : 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      redirect_uris: given['redirect-uri'],
      post_logout_redirect_uris: given['sign-out-uri'],
      id_token_signed_response_alg: given['id-token-alg'],
    },
    {
      client_id: 'program',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code'],
      response_types: ['code'],
      redirect_uris: ['http://127.0.0.1/program'],
    },
  ];
}

function configuration() {
  const accessTokenS = Number(given['access-token-s']);
  return {
    clients: clients(),
    jwks: { keys: newKeys() },
    cookies: { keys: [randomUUID()] },
    findAccount: (_, id) => accountOf(id),
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    conformIdTokenClaims: given['claims-in'] !== 'id-token',
    pkce: { methods: ['S256'], required: () => true },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'] },
    // Whoever asks for a long stay gets it, without being asked again each time.
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    ttl: { AccessToken: accessTokenS, IdToken: 86400, RefreshToken: 86400, Interaction: 3600, Session: 86400, Grant: 86400 },
    extraTokenClaims: (_, token) => (token.accountId ? emailOf(token.accountId) : {}),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true, logoutSource, postLogoutSuccessSource: signedOut },
      resourceIndicators: {
        enabled: true,
        defaultResource: (ctx) => (ctx.oidc.client.clientId === 'program' ? AUDIENCE : undefined),
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'openid email profile',
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: accessTokenS,
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  };
}

function emailOf(id) {
  const { email, email_verified } = accounts[id];
  return { email, email_verified };
}

function logoutSource(ctx, form) {
  ctx.body = `<!doctype html><html lang="en"><title>Sign out</title><main><h1>Sign out of the provider?</h1>${form}
    <button type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button></main></html>`;
}

function signedOut(ctx) {
  ctx.body = '<!doctype html><html lang="en"><title>Signed out</title><main><h1>Signed out</h1></main></html>';
}

async function bodyOf(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text ? JSON.parse(text) : {};
}

/** Does what a test tells; whether it was that. */
async function controlled(request, response) {
  const path = request.url.split('?')[0];
  if (!path.startsWith('/test/')) return false;
  const body = await bodyOf(request);
  if (path === '/test/away') state.away = body.away;
  const [, account] = path.match(/^\/test\/accounts\/(\w+)$/) ?? [];
  if (account) state.disabled[body.is_disabled ? 'add' : 'delete'](account);
  response.setHeader('content-type', 'application/json').end(JSON.stringify(state.counts));
  return true;
}

const server = createServer();
server.listen(Number(given.port), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration());
  provider.on('grant.success', (ctx) => count(`granted ${ctx.oidc.params.grant_type}`));
  provider.on('grant.error', (ctx) => count(`refused ${ctx.oidc.params?.grant_type}`));
  provider.on('revocation.error', () => count('refused revocation'));
  provider.on('server_error', (_, error) => console.error(error));
  const interact = interactionAt(provider, accountOf);
  const answer = provider.callback();
  server.on('request', async (request, response) => {
    try {
      if (await controlled(request, response)) return;
      if (state.away) return response.writeHead(503).end('away');
      count(`${request.method} ${request.url.split('?')[0].replace(/\/(interaction|auth)\/.*/, '/$1/…')}`);
      if (!(await interact(request, response))) answer(request, response);
    } catch (error) {
      console.error(error);
      if (!response.headersSent) response.writeHead(500).end();
    }
  });
  console.log(`ready ${issuer}`);
});

if (given['with-parent']) process.stdin.on('end', () => process.exit(0)).resume();
