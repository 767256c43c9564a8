// An OpenID provider on loopback, for the tests: node provider.mjs CERTIFICATE KEY REDIRECT_URI
//
// Whoever logs in is who `login_hint` says. It prints one line of JSON when it is ready, and ends
// when its standard input does.

import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import Provider from 'oidc-provider';

const [certificate, key, redirect] = process.argv.slice(2);
const ALGORITHMS = ['RS256', 'ES256', 'Ed25519', 'EdDSA'];

function signingKey(algorithm, type, options = {}) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: algorithm, use: 'sig' };
}

// One client for each algorithm, and one more that stands for another service.
function client(id, algorithm) {
  return {
    client_id: id,
    token_endpoint_auth_method: 'none',
    redirect_uris: [redirect],
    id_token_signed_response_alg: algorithm,
  };
}

async function grantEverything(context) {
  const { oidc } = context;
  const grant = new oidc.provider.Grant({
    clientId: oidc.client.clientId,
    accountId: oidc.session.accountId,
  });
  grant.addOIDCScope('openid profile');
  await grant.save();
  return grant;
}

const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
server.listen(0, '127.0.0.1', () => {
  const issuer = `https://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      ...ALGORITHMS.map((algorithm) => client(`halfkey-${algorithm}`, algorithm)),
      client('another-service', 'RS256'),
    ],
    jwks: {
      keys: [
        signingKey('rsa', 'rsa', { modulusLength: 2048 }),
        signingKey('ec', 'ec', { namedCurve: 'P-256' }),
        signingKey('okp', 'ed25519'),
      ],
    },
    enabledJWA: { idTokenSigningAlgValues: ALGORITHMS },
    claims: { openid: ['sub'], profile: ['name'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['for the tests only'] },
    features: { devInteractions: { enabled: false } },
    findAccount: (context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: `Name of ${id}` }),
    }),
    interactions: { url: (context, interaction) => `/log-in/${interaction.uid}` },
    loadExistingGrant: grantEverything,
  });
  const answer = provider.callback();
  server.on('request', async (request, response) => {
    if (!request.url.startsWith('/log-in/')) {
      answer(request, response);
      return;
    }
    const { params } = await provider.interactionDetails(request, response);
    const result = { login: { accountId: params.login_hint } };
    await provider.interactionFinished(request, response, result);
  });
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
