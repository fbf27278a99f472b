// Encrypt a secret as a JWE for a key from kms_jwk().
//
//   npm install jose
//   node jwe.mjs key.jwk [ALG [ENC]] < secret
import { readFileSync } from 'node:fs';
import { CompactEncrypt, importJWK } from 'jose';

// plaintext: bytes; for a string use its UTF-8, Buffer.from(secret, 'utf8').
async function encrypt(jwk, plaintext, alg = jwk.alg ?? 'RSA-OAEP-256', enc = 'A256GCM') {
  return new CompactEncrypt(plaintext)
    .setProtectedHeader({ alg, enc, kid: jwk.kid })
    .encrypt(await importJWK(jwk, alg));
}

try {
  const [keyFile, alg, enc] = process.argv.slice(2);
  const jwk = JSON.parse(readFileSync(keyFile, 'utf8'));
  console.log(await encrypt(jwk, readFileSync(0), alg, enc));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
