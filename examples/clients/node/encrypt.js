// Encrypt a secret with a public key from the database.
//
//   node encrypt.js sha1 sha1 public.pem < secret
'use strict';

const { constants, publicEncrypt } = require('crypto');
const { readFileSync } = require('fs');

// publicKey: SPKI PEM.  plaintext: bytes; for a string use its UTF-8,
// Buffer.from(secret, 'utf8').  The limit is modulus bytes - 2 * digest bytes - 2
// (214 with 2048 bits and SHA-1); more throws "data too large for key size".
function encrypt(publicKey, plaintext, digest, mgf1Digest) {
  // oaepHash sets both digests, and there is no option for that of MGF1.
  if (mgf1Digest !== digest) {
    throw new Error(`Node has one digest: ${digest} with MGF1-${mgf1Digest} cannot be had`);
  }
  const ciphertext = publicEncrypt({
    key: publicKey,
    padding: constants.RSA_PKCS1_OAEP_PADDING, // never RSA_PKCS1_PADDING, which kms refuses
    oaepHash: digest, // sha1 by default
  }, plaintext);
  return ciphertext.toString('base64');
}

try {
  const [digest, mgf1Digest, keyFile] = process.argv.slice(2);
  const publicKey = readFileSync(keyFile, 'utf8');
  console.log(encrypt(publicKey, readFileSync(0), digest, mgf1Digest));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
