// A real issuer, oidc-provider, on the port that is given: client credentials, JWT access tokens of RFC 9068, DPoP.
// POST /control/rotate: a new key signs from now on, and the last one is still published. POST /control/forget: only the newest is.
import http from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const audience = process.argv[3] ?? 'orders';

async function key(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: `${alg}-${Math.random().toString(36).slice(2)}` };
}

// Only the ES256 keys are rotated; the client's ID tokens, which nobody asks for, are to be signed by the other.
const still = await key('RS256');
let keys = [await key('ES256'), still];

function provider() {
  const made = new Provider(issuer, {
    jwks: { keys },
    clients: [
      {
        client_id: 'robot',
        client_secret: 'robots-have-long-secrets-too-0123456789',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
      {
        client_id: 'other',
        client_secret: 'another-secret-that-is-long-0123456789',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    scopes: ['read', 'write'],
    features: {
      clientCredentials: { enabled: true },
      dPoP: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:orders',
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'read write',
          audience: resource === 'urn:orders' ? audience : resource,
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
  return made.callback();
}

let serve = provider();

http
  .createServer(async (request, response) => {
    if (request.method === 'POST' && request.url.startsWith('/control/')) {
      const fresh = await key('ES256');
      keys = request.url === '/control/rotate' ? [fresh, keys[0], still] : [fresh, still];
      serve = provider();
      response.end('done');
      return;
    }
    serve(request, response);
  })
  .listen(port, '127.0.0.1');
