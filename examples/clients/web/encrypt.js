'use strict';

// What a key of the database says with "alg" (RFC 7518), and bytes of a digest.
const DIGESTS = {
  'RSA-OAEP': { name: 'SHA-1', size: 20 },
  'RSA-OAEP-256': { name: 'SHA-256', size: 32 },
};

// Encrypt a secret for a key that kms_jwk() handed out; gives base64.
//
// The JWK says the digest.  Web Crypto uses it for MGF1 too: SHA-256 with
// MGF1-SHA-1 cannot be had.
async function encrypt(jwk, secret) {
  if (!globalThis.crypto?.subtle) {
    throw new Error('Web Crypto is there only with https:, on localhost and in files');
  }
  const digest = DIGESTS[jwk.alg];
  if (!digest) {
    throw new Error(`no digest is known for alg "${jwk.alg}"`);
  }
  const key = await crypto.subtle.importKey('jwk', jwk,
    { name: 'RSA-OAEP', hash: digest.name }, false, ['encrypt']);

  // A string is UTF-16 here and UTF-8 there, and it is bytes that are counted.
  const plaintext = new TextEncoder().encode(secret);
  // Web Crypto's own error has no message.
  const limit = key.algorithm.modulusLength / 8 - 2 * digest.size - 2;
  if (plaintext.length > limit) {
    throw new RangeError(
      `the secret is too long: ${plaintext.length} bytes, the key takes ${limit}`);
  }
  const ciphertext = await crypto.subtle.encrypt({ name: 'RSA-OAEP' }, key, plaintext);
  return btoa(String.fromCharCode(...new Uint8Array(ciphertext)));
}
