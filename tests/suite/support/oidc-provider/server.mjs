// Real OAuth 2 services for the tests: npm's oidc-provider, each on a free port of this machine, with rotation on, so that
// an old refresh token that comes back ends the whole login. Prints the URL and the issuer of each, and ends with its
// standard input.
import { generateKeyPairSync, randomUUID, webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

// Node.js 18, which Debian 12 has, does not know them yet.
globalThis.crypto ??= webcrypto;
URL.parse ??= (text, base) => (URL.canParse(text, base) ? new URL(text, base) : null);

// Found where NODE_PATH or the working directory says, which `import` alone does not look at.
const found = createRequire(`${process.cwd()}/`).resolve('oidc-provider');
const { Provider } = await import(pathToFileURL(found));

async function portOf(server) {
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return server.address().port;
}

// Starts a service of its own for each line of the standard input: loading the library takes longer than a test. The line
// may have the files of a certificate and its key: then the issuer is at a second port, over TLS.
async function start(line) {
  const server = createServer();
  const url = `http://127.0.0.1:${await portOf(server)}`;
  const [cert, key] = line.split(' ').filter(Boolean).map((file) => readFileSync(file));
  const secure = cert && createTlsServer({ cert, key });
  const issuer = secure ? `https://127.0.0.1:${await portOf(secure)}` : url;

  // What the tests look at and change, below /test.
  const journal = [];
  let delay = 0;
  let delayDescription = 0;
  let lifetime = 900;
  let withholdIdToken = false;
  let assertion = '';
  let gate = Promise.resolve();
  let release = () => {};

  const configuration = {
    clients: [
      {
        client_id: 'helper',
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        redirect_uris: ['http://127.0.0.1/callback'],
        grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
      },
      { client_id: 'other', token_endpoint_auth_method: 'none', application_type: 'native',
        redirect_uris: ['http://127.0.0.1/callback'], grant_types: ['authorization_code'] },
      // For oidc-agent, which requires a secret.
      { client_id: 'agent', client_secret: 'hush', redirect_uris: ['http://127.0.0.1/callback'],
        grant_types: ['authorization_code', 'refresh_token'] },
      { client_id: 'ci', client_secret: 'hush', redirect_uris: [], response_types: [], grant_types: ['client_credentials'] },
      { client_id: 'git', client_secret: 'host', redirect_uris: [], response_types: [], grant_types: ['client_credentials'] },
    ],
    features: {
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
      registration: { enabled: true },
      // The access token for a resource is a JWT with this audience.
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, audience) => ({ scope: 'openid', audience, accessTokenFormat: 'jwt' }),
        useGrantedResource: () => true,
      },
    },
    enabledJWA: { clientAuthSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
    pkce: { required: () => true },
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    ttl: { AccessToken: () => lifetime, ClientCredentials: 900, RefreshToken: 14 * 86400, Grant: 14 * 86400, Session: 86400, Interaction: 3600, DeviceCode: 600, IdToken: () => lifetime, AuthorizationCode: 60 },
    claims: { openid: ['sub', 'email'] },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@acme.dev` }) }),
    cookies: { keys: ['of a test'] },
  };

  function build(more) {
    const provider = new Provider(issuer, { ...configuration, ...more });
    for (const event of ['grant.success', 'grant.error', 'grant.revoked', 'refresh_token.consumed', 'access_token.issued']) {
      provider.on(event, (first) => journal.push({ event, grant_type: first?.oidc?.params?.grant_type }));
    }
    for (const event of ['server_error', 'introspection.error', 'revocation.error', 'grant.error', 'authorization.error']) {
      provider.on(event, (ctx, error) => console.error(event, error?.message, error?.error_detail ?? ''));
    }
    provider.use(async (ctx, next) => {
      await next();
      assertion = ctx.oidc?.body?.client_assertion ?? assertion;
      if (withholdIdToken && ctx.oidc?.params?.grant_type === 'refresh_token') delete ctx.body.id_token;
    });
    return provider;
  }
  let provider = build();
  let answer = provider.callback();

  // Replaces the signing keys. What was issued stays in the storage.
  function rotateKeys() {
    const before = provider;
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
    provider = build({ adapter: (model) => before[model].adapter, jwks: { keys: [key] } });
    answer = provider.callback();
  }

  // What somebody has agreed to.
  async function agreed(accountId, clientId) {
    const client = await provider.Client.find(clientId);
    const grant = new provider.Grant({ accountId, clientId });
    // oidc-agent requests `offline_access` with each refresh.
    const scope = clientId === 'agent' ? 'openid offline_access' : 'openid';
    grant.addOIDCScope(scope);
    return { accountId, client, grantId: await grant.save(), gty: 'authorization_code', scope };
  }

  // What the page would send a browser back with.
  async function code(asked) {
    const [redirectUri, codeChallenge] = [asked.get('redirect_uri'), asked.get('code_challenge')];
    const bound = { redirectUri, codeChallenge, codeChallengeMethod: 'S256' };
    const common = await agreed('ada', asked.get('client_id'));
    const [nonce, resource] = [asked.get('nonce') ?? undefined, asked.get('audience') ?? undefined];
    return { code: await new provider.AuthorizationCode({ ...common, ...bound, nonce, resource }).save() };
  }

  // A login that has been made: what a browser would bring, without one.
  async function seed(accountId, clientId) {
    const common = await agreed(accountId, clientId);
    const access_token = await new provider.AccessToken(common).save();
    const refresh_token = await new provider.RefreshToken({ ...common, rotations: 0 }).save();
    return { access_token, refresh_token };
  }

  // The claims of an ID token, if its signature, issuer and audience are right.
  async function verified(token) {
    const { payload } = await provider.IdToken.validate(token, await provider.Client.find('helper'));
    return payload;
  }

  async function handle(request, response) {
    const url = new URL(request.url, issuer);
    const tell = (value) => response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
    switch (url.pathname) {
      case '/test/seed': return tell(await seed(url.searchParams.get('account') ?? 'ada', url.searchParams.get('client') ?? 'helper'));
      case '/test/code': return tell(await code(url.searchParams));
      case '/test/id-token': return tell(await verified(url.searchParams.get('token')));
      case '/test/journal': return tell(journal);
      case '/test/assertion': return tell({ assertion });
      case '/test/lifetime': lifetime = Number(url.searchParams.get('s')); return tell({});
      case '/test/clear': journal.length = 0; return tell({});
      case '/test/delay': delay = Number(url.searchParams.get('ms')); return tell({});
      case '/test/hold': gate = new Promise((done) => { release = done; }); return tell({});
      case '/test/withhold-id-token': withholdIdToken = true; return tell({});
      case '/test/rotate-keys': rotateKeys(); return tell({});
      case '/test/close':
        tell({});
        for (const each of [server, secure]) {
          each?.close();
          each?.closeAllConnections();
        }
        return undefined;
      case '/test/release': release(); return tell({});
      case '/test/delay-description': delayDescription = Number(url.searchParams.get('ms')); return tell({});
    }
    if (url.pathname.startsWith('/.well-known/')) {
      journal.push({ event: 'description request' });
      if (delayDescription) await new Promise((done) => setTimeout(done, delayDescription));
    }
    if (url.pathname === '/token') {
      journal.push({ event: 'token request' });
      await gate;
      if (delay) await new Promise((done) => setTimeout(done, delay));
    }
    return answer(request, response);
  }
  server.on('request', handle);
  secure?.on('request', handle);
  console.log(url, issuer);
}

for await (const line of createInterface({ input: process.stdin })) await start(line);
process.exit(0);
