// Keys that last as long as the process.

import { generateKeyPairSync, randomUUID } from 'node:crypto';

function jwk(type, options, more) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', kid: randomUUID(), ...more };
}

export function newKeys() {
  return [
    // Of no algorithm alone: it signs RS256 and PS256.
    jwk('rsa', { modulusLength: 2048 }, {}),
    jwk('ec', { namedCurve: 'P-256' }, { alg: 'ES256' }),
    jwk('ec', { namedCurve: 'P-384' }, { alg: 'ES384' }),
    jwk('ed25519', {}, { alg: 'EdDSA' }),
  ];
}
