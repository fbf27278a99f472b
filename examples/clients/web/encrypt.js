'use strict';

// The digest for each "alg" of a JWK from kms_jwk() (RFC 7518), and its size in bytes.
const DIGESTS = {
  'RSA-OAEP': { name: 'SHA-1', size: 20 },
  'RSA-OAEP-256': { name: 'SHA-256', size: 32 },
};

// Encrypt a secret with a key from kms_jwk(), and return base64.
//
// The JWK names the digest.  Web Crypto uses it for MGF1, too, so SHA-256 with
// MGF1-SHA-1 is not possible.
async function encrypt(jwk, secret) {
  if (!globalThis.crypto?.subtle) {
    throw new Error('Web Crypto is available only with https:, on localhost and in files');
  }
  const digest = DIGESTS[jwk.alg];
  if (!digest) {
    throw new Error(`no digest is known for alg "${jwk.alg}"`);
  }
  const key = await crypto.subtle.importKey('jwk', jwk,
    { name: 'RSA-OAEP', hash: digest.name }, false, ['encrypt']);

  // Count bytes of UTF-8, not the UTF-16 units of the string.
  const plaintext = new TextEncoder().encode(secret);
  // Check here, because Web Crypto's own error has no message.
  const limit = key.algorithm.modulusLength / 8 - 2 * digest.size - 2;
  if (plaintext.length > limit) {
    throw new RangeError(
      `the secret is too long: ${plaintext.length} bytes, the key takes ${limit}`);
  }
  const ciphertext = await crypto.subtle.encrypt({ name: 'RSA-OAEP' }, key, plaintext);
  return btoa(String.fromCharCode(...new Uint8Array(ciphertext)));
}
