'use strict';

const {
  constants, createCipheriv, createHash, diffieHellman, generateKeyPairSync, publicEncrypt, randomBytes,
} = require('node:crypto');
const { InvalidKey, SecretTooLong, UnsupportedForm } = require('./errors.js');

const ENC = 'A256GCM';
const DIGEST_BYTES = {
  sha1: 20, sha224: 28, sha256: 32, sha384: 48, sha512: 64, 'sha512-224': 28, 'sha512-256': 32,
};
const OAEP_DIGESTS = {
  'RSA-OAEP': 'sha1', 'RSA-OAEP-256': 'sha256', 'RSA-OAEP-384': 'sha384', 'RSA-OAEP-512': 'sha512',
};
// Parameters that say how to decrypt, or that kms refuses.
const RESERVED = new Set(['alg', 'enc', 'kid', 'epk', 'apu', 'apv', 'crit', 'zip', 'jku', 'jwk',
  'x5u', 'x5c', 'x5t', 'x5t#S256']);

// A copy of the bytes to encrypt, for the caller to wipe.
function toBytes(secret) {
  if (typeof secret === 'string') {
    if (/\p{Surrogate}/u.test(secret)) throw new TypeError('the secret is not text: it has half a surrogate pair');
    return Buffer.from(secret, 'utf8');
  }
  if (secret instanceof Uint8Array) return Buffer.from(secret);
  throw new TypeError('a secret is a string or a Uint8Array');
}

// One block of RSA-OAEP under the digests of the key, in base64.
function encryptBlock(key, bytes, label) {
  if (!key.bits) {
    throw new UnsupportedForm(`a key of ${key.algorithm} has no blocks: send it with the form "jwe"`);
  }
  if (key.oaepHash === undefined) {
    throw new UnsupportedForm('the JWK does not say the digests of a block:'
      + ' return "oaep_hash_used" and "mgf1_hash_used", too, or send it with the form "jwe"');
  }
  if (key.oaepHash !== key.mgf1Hash) {
    throw new UnsupportedForm(`Node has one digest for a block, but the key has ${key.oaepHash}`
      + ` with MGF1-${key.mgf1Hash}: ask for another mgf1Hash, or send it with the form "jwe"`);
  }
  const limit = key.bits / 8 - 2 * DIGEST_BYTES[key.oaepHash] - 2;
  if (bytes.length > limit) {
    throw new SecretTooLong(bytes.length, limit, `${key.algorithm}, ${key.oaepHash}`);
  }
  return oaep(key.publicKey, key.oaepHash, bytes, label).toString('base64');
}

// A JWE (RFC 7516) in the compact form.
function encryptJwe(key, bytes, extra) {
  const header = { alg: key.alg, enc: ENC, kid: key.keyId, ...extra };
  let encryptedKey = Buffer.alloc(0);
  let contentKey;
  if (key.bits) {
    contentKey = randomBytes(32);
    encryptedKey = oaep(key.publicKey, OAEP_DIGESTS[key.alg], contentKey);
  } else {
    contentKey = agree(key, header);
  }

  const head = Buffer.from(JSON.stringify(header)).toString('base64url');
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', contentKey, iv);
  contentKey.fill(0);
  cipher.setAAD(Buffer.from(head, 'ascii'));
  const ciphertext = Buffer.concat([cipher.update(bytes), cipher.final()]);
  return [head, ...[encryptedKey, iv, ciphertext, cipher.getAuthTag()]
    .map((part) => part.toString('base64url'))].join('.');
}

function oaep(publicKey, digest, bytes, label) {
  return publicEncrypt({
    key: publicKey,
    padding: constants.RSA_PKCS1_OAEP_PADDING,
    oaepHash: digest,
    ...(label === undefined ? {} : { oaepLabel: label }),
  }, bytes);
}

// The key that ECDH-ES agrees on for the content: one round of the Concat KDF
// (RFC 7518, 4.6.2).  Adds "epk" to the header.
function agree(key, header) {
  const isEc = key.algorithm === 'EC-P256';
  const ephemeral = isEc ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('x25519');
  const { kty, crv, x, y } = ephemeral.publicKey.export({ format: 'jwk' });
  header.epk = isEc ? { kty, crv, x, y } : { kty, crv, x };

  let agreed;
  try {
    agreed = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: key.publicKey });
  } catch {
    throw new InvalidKey('the public key is a point of small order');
  }
  const lengthOf = (value) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(value);
    return length;
  };
  const contentKey = createHash('sha256').update(lengthOf(1)).update(agreed)
    .update(lengthOf(ENC.length)).update(ENC)
    .update(lengthOf(0)).update(lengthOf(0)).update(lengthOf(256)).digest();
  agreed.fill(0);
  return contentKey;
}

// Check the options of a call, so that a misspelled one is not ignored.
function checkOptions(options, form) {
  const known = form === 'jwe' ? ['form', 'header', 'iat'] : ['form', 'label'];
  for (const [name, value] of Object.entries(options)) {
    if (!known.includes(name) && value !== undefined) {
      throw new TypeError(`"${name}" is not an option of the form "${form}"`);
    }
  }
  const { label, header, iat } = options;
  if (label !== undefined && !(label instanceof Uint8Array)) throw new TypeError('a label is a Uint8Array');
  if (iat !== undefined && typeof iat !== 'boolean') throw new TypeError('"iat" is true or false');
  if (header === undefined) return;
  if (header === null || typeof header !== 'object' || Array.isArray(header)) {
    throw new TypeError('"header" is not an object');
  }
  for (const [name, value] of Object.entries(header)) {
    if (RESERVED.has(name) || (iat && name === 'iat')) throw new TypeError(`"${name}" is set by the client`);
    if (value === undefined) throw new TypeError(`"${name}" of the header is undefined`);
  }
}

module.exports = { checkOptions, encryptBlock, encryptJwe, toBytes };
