// Run "npm install jose" here, or name the place where your application has it.
import { CompactEncrypt, importJWK } from './node_modules/jose/dist/webapi/index.js';

// Encrypt a secret as a JWE for a key from kms_jwk(), and return the compact form.
export async function encryptJwe(jwk, secret) {
  const alg = jwk.alg ?? 'RSA-OAEP-256';
  return new CompactEncrypt(new TextEncoder().encode(secret))
    .setProtectedHeader({ alg, enc: 'A256GCM', kid: jwk.kid })
    .encrypt(await importJWK(jwk, alg));
}
