// Encrypt a secret for the key that the database handed out.
//
//   node encrypt.js sha1 sha1 public.pem < secret
'use strict';

const { constants, publicEncrypt } = require('crypto');
const { readFileSync } = require('fs');

// publicKey: SPKI PEM.  plaintext: bytes; of a string its UTF-8, that is
// Buffer.from(secret, 'utf8').  At most modulus bytes - 2 * digest bytes - 2 of
// them (214 with 2048 bits and SHA-1): more throws "data too large for key size".
function encrypt(publicKey, plaintext, digest, mgf1Digest) {
  // oaepHash sets both digests, and there is no option for that of MGF1.
  if (mgf1Digest !== digest) {
    throw new Error(`Node has one digest: ${digest} with MGF1-${mgf1Digest} cannot be had`);
  }
  const ciphertext = publicEncrypt({
    key: publicKey,
    padding: constants.RSA_PKCS1_OAEP_PADDING, // never RSA_PKCS1_PADDING: it is refused
    oaepHash: digest, // without it sha1
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
