// oauth2-mock-server on the port that is given. What a token says wrongly is chosen by the scope that is asked for.
import { OAuth2Server } from 'oauth2-mock-server';

const port = Number(process.argv[2]);
const server = new OAuth2Server();
await server.issuer.keys.generate('RS256');
await server.start(port, '127.0.0.1');

const now = () => Math.floor(Date.now() / 1000);
const wrong = {
  good: () => {},
  'no-audience': (token) => delete token.payload.aud,
  'other-audience': (token) => (token.payload.aud = 'billing'),
  'audience-object': (token) => (token.payload.aud = { orders: true }),
  'no-issuer': (token) => delete token.payload.iss,
  'issuer-list': (token) => (token.payload.iss = [token.payload.iss]),
  'other-issuer': (token) => (token.payload.iss = 'https://evil.example'),
  'no-expiry': (token) => delete token.payload.exp,
  expired: (token) => (token.payload.exp = now() - 60),
  'expiry-text': (token) => (token.payload.exp = String(now() + 300)),
  'expiry-milliseconds': (token) => (token.payload.exp = Date.now() + 300_000),
  'not-yet': (token) => (token.payload.nbf = now() + 60),
  'no-user': (token) => delete token.payload.sub,
  'user-number': (token) => (token.payload.sub = 7),
  'user-lines': (token) => (token.payload.sub = 'a\r\nX-Forwarded-User: root'),
  'id-token': (token) => (token.payload.at_hash = 'x'),
  'logout-token': (token) => (token.header.typ = 'logout+jwt'),
  'unknown-key': (token) => (token.header.kid = 'nobody'),
  bound: (token) => (token.payload.cnf = { jkt: 'x' }),
};

server.service.on('beforeTokenSigning', (token, request) => {
  token.payload.aud = 'orders';
  token.payload.sub = 'carol';
  wrong[request.body.scope](token);
});
server.service.on('beforeResponse', (response) => {
  response.body.kinds = Object.keys(wrong);
});
