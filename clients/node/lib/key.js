'use strict';

const { createPublicKey } = require('node:crypto');
const { InvalidKey } = require('./errors.js');

const RSA_BITS = { 'RSA-2048': 2048, 'RSA-3072': 3072, 'RSA-4096': 4096 };
const DIGESTS = ['sha1', 'sha224', 'sha256', 'sha384', 'sha512', 'sha512-224', 'sha512-256'];
// The pairs of equal digests that have a registered name (RFC 7518, 4.1).
const OAEP_ALGS = {
  'RSA-OAEP': 'sha1',
  'RSA-OAEP-256': 'sha256',
  'RSA-OAEP-384': 'sha384',
  'RSA-OAEP-512': 'sha512',
};
const P256_BYTES = 91;
const KEY_ID = /^[A-Za-z0-9_.\-/+=:{}#@]{1,128}$/;
const PEM = /^-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PUBLIC KEY-----\s*$/;
const TIME = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d(?::?\d\d)?)$/;

// Judge what the function "fetchKey" returned: the columns of kms_issue_key,
// perhaps with "jwk" for or beside "public_key", and "server_time".  "wanted"
// has the properties that the key must have, each may be undefined.
function readKey(row, wanted) {
  if (row === null || typeof row !== 'object') {
    throw new InvalidKey('the key is not an object with the columns of kms_issue_key');
  }
  const keyId = text(row, 'key_id');
  if (!KEY_ID.test(keyId)) throw new InvalidKey('"key_id" is not a key id of kms');
  if (row.public_key == null && row.jwk == null) {
    throw new InvalidKey('the key has neither "public_key" nor "jwk"');
  }

  const fromPem = row.public_key == null ? undefined : readPem(text(row, 'public_key'));
  const fromJwk = row.jwk == null ? undefined : readJwk(row.jwk, keyId);
  if (fromPem && fromJwk && !spki(fromPem).equals(spki(fromJwk))) {
    throw new InvalidKey('"public_key" and "jwk" are two different keys');
  }
  const publicKey = fromPem ?? fromJwk;
  const algorithm = algorithmOf(publicKey);
  if ((row.algorithm_used ?? (fromJwk && algorithm)) !== algorithm) {
    throw new InvalidKey(`"algorithm_used" does not name the algorithm of the key, ${algorithm}`);
  }

  const { oaepHash, mgf1Hash, alg } = digestsOf(row, algorithm);
  const key = {
    keyId, publicKey, algorithm, oaepHash, mgf1Hash, alg, bits: RSA_BITS[algorithm],
    renewAt: time(row, 'renew_at'),
    expiresAt: time(row, 'expires_at'),
    serverTime: row.server_time == null ? undefined : time(row, 'server_time'),
  };
  for (const property of ['algorithm', 'oaepHash', 'mgf1Hash']) {
    if (wanted[property] !== undefined && wanted[property] !== key[property]) {
      throw new InvalidKey(`the key has ${property} ${key[property] ?? 'unknown'},`
        + ` but ${wanted[property]} was asked for`);
    }
  }
  return key;
}

function text(row, name) {
  if (typeof row[name] !== 'string') throw new InvalidKey(`"${name}" of the key is not a string`);
  return row[name];
}

// Milliseconds since 1970, of a Date or of what PostgreSQL writes.
function time(row, name) {
  const value = row[name];
  let parsed = NaN;
  if (value instanceof Date) {
    parsed = value.getTime();
  } else if (typeof value === 'string') {
    const [, date, clock, fraction = '', zone] = TIME.exec(value) ?? [];
    if (date) {
      const offset = zone === 'Z' ? 'Z'
        : `${zone.slice(0, 3)}:${zone.slice(3).replace(':', '') || '00'}`;
      parsed = Date.parse(`${date}T${clock}${fraction.slice(0, 4)}${offset}`);
    }
  }
  if (Number.isNaN(parsed)) throw new InvalidKey(`"${name}" of the key is not a time with its zone`);
  return parsed;
}

function readPem(pem) {
  const [, body] = PEM.exec(pem) ?? [];
  if (!body) throw new InvalidKey('"public_key" is not one public key in PEM (SPKI)');
  const key = create(pem, '"public_key"');
  // One encoding per key, with nothing behind it.
  if (!spki(key).equals(Buffer.from(body, 'base64'))) {
    throw new InvalidKey('"public_key" is not in the form in which kms issues keys');
  }
  return key;
}

function readJwk(jwk, keyId) {
  if (typeof jwk !== 'object') throw new InvalidKey('"jwk" is not an object');
  if ('d' in jwk || 'k' in jwk) throw new InvalidKey('"jwk" is a secret key');
  if (jwk.kid !== undefined && jwk.kid !== keyId) throw new InvalidKey('"kid" of the JWK is not the key id');
  if (jwk.use !== undefined && jwk.use !== 'enc') throw new InvalidKey('"use" of the JWK is not "enc"');
  const { kty, crv, x, y, n, e } = jwk;
  const numbers = { EC: { x, y }, OKP: { x }, RSA: { n, e } }[kty];
  if (!numbers) throw new InvalidKey('"kty" of the JWK is not supported');
  for (const [name, value] of Object.entries(numbers)) {
    if (typeof value !== 'string' || !/^[A-Za-z0-9_-]+$/.test(value)) {
      throw new InvalidKey(`"${name}" of the JWK is not base64url`);
    }
    if (kty !== 'RSA' && Buffer.from(value, 'base64url').length !== 32) {
      throw new InvalidKey(`"${name}" of the JWK does not have 32 bytes`);
    }
  }
  return create({ key: kty === 'RSA' ? { kty, n, e } : { kty, crv, ...numbers }, format: 'jwk' }, '"jwk"');
}

function create(input, what) {
  let key;
  try {
    key = createPublicKey(input);
  } catch {
    key = undefined;
  }
  if (!key) throw new InvalidKey(`${what} is not a valid public key`);
  return key;
}

function spki(key) {
  return key.export({ type: 'spki', format: 'der' });
}

function algorithmOf(key) {
  const type = key.asymmetricKeyType;
  const { modulusLength, publicExponent, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (type === 'rsa') {
    const found = Object.keys(RSA_BITS).find((name) => RSA_BITS[name] === modulusLength);
    if (!found) throw new InvalidKey(`the key has ${modulusLength} bits, and kms has no such keys`);
    // Imported keys may have another exponent than 65537.
    if (publicExponent < 3n || publicExponent % 2n === 0n) {
      throw new InvalidKey('the public exponent of the key is not valid');
    }
    return found;
  }
  // OpenSSL also names a curve whose parameters are explicit, which is longer.
  if (type === 'ec' && namedCurve === 'prime256v1' && spki(key).length === P256_BYTES) return 'EC-P256';
  if (type === 'x25519') return 'X25519';
  throw new InvalidKey('kms has no keys of this type or curve');
}

// The digests of the key, and the alg of a JWE, which kms_jwk would name.
function digestsOf(row, algorithm) {
  const named = row.jwk?.alg;
  let oaepHash = row.oaep_hash_used ?? undefined;
  let mgf1Hash = row.mgf1_hash_used ?? undefined;

  if (!RSA_BITS[algorithm]) {
    if ((oaepHash ?? 'none') !== 'none' || (mgf1Hash ?? 'none') !== 'none') {
      throw new InvalidKey(`a key of ${algorithm} has no digests`);
    }
    if ((named ?? 'ECDH-ES') !== 'ECDH-ES') throw new InvalidKey('"alg" of the JWK does not fit the key');
    return { oaepHash: 'none', mgf1Hash: 'none', alg: 'ECDH-ES' };
  }
  if (named !== undefined && !Object.hasOwn(OAEP_ALGS, named)) {
    throw new InvalidKey('"alg" of the JWK does not fit the key');
  }
  if (oaepHash === undefined && mgf1Hash === undefined && row.jwk) {
    oaepHash = mgf1Hash = OAEP_ALGS[named];
    return { oaepHash, mgf1Hash, alg: named ?? 'RSA-OAEP-256' };
  }
  if (!DIGESTS.includes(oaepHash) || !DIGESTS.includes(mgf1Hash)) {
    throw new InvalidKey('"oaep_hash_used" or "mgf1_hash_used" of the key is not a digest of kms');
  }
  const registered = oaepHash === mgf1Hash
    ? Object.keys(OAEP_ALGS).find((name) => OAEP_ALGS[name] === oaepHash) : undefined;
  if (named !== undefined && named !== registered) {
    throw new InvalidKey('"alg" of the JWK does not name the digests of the key');
  }
  return { oaepHash, mgf1Hash, alg: registered ?? 'RSA-OAEP-256' };
}

module.exports = { readKey };
