'use strict';

const {
  constants, createDecipheriv, createHash, createPublicKey, diffieHellman, generateKeyPairSync,
  privateDecrypt,
} = require('node:crypto');

const DAY = 86400e3;
const START = Date.parse('2026-11-30T12:00:00Z');
const pairs = {};

function pairOf(algorithm) {
  pairs[algorithm] ??= algorithm.startsWith('RSA')
    ? generateKeyPairSync('rsa', { modulusLength: Number(algorithm.slice(4)) })
    : algorithm === 'EC-P256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('x25519');
  return pairs[algorithm];
}

// The row of kms_issue_key, with "changes".
function issued(changes = {}) {
  const algorithm = changes.algorithm_used ?? 'RSA-2048';
  const digest = algorithm.startsWith('RSA') ? 'sha256' : 'none';
  return {
    key_id: 'key_1',
    public_key: pairOf(algorithm).publicKey.export({ type: 'spki', format: 'pem' }).trimEnd(),
    algorithm_used: algorithm,
    oaep_hash_used: digest,
    mgf1_hash_used: digest,
    renew_at: new Date(START + 27 * DAY).toISOString(),
    expires_at: new Date(START + 30 * DAY).toISOString(),
    server_time: new Date(START).toISOString(),
    reused: false,
    ...changes,
  };
}

// A clock that stands still until it is moved.
function standingClock(wall = START) {
  const clock = {
    time: 1000,
    offset: wall - 1000,
    monotonic: () => clock.time,
    wall: () => clock.time + clock.offset,
    pass(milliseconds) { clock.time += milliseconds; },
  };
  return clock;
}

// An independent reading of RFC 7516 and RFC 7518, with the private key.
function open({ form, ciphertext }, algorithm, digest = 'sha256', label = undefined) {
  const { privateKey } = pairOf(algorithm);
  const unwrap = (bytes, oaepHash, oaepLabel) => privateDecrypt(
    { key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash, oaepLabel }, bytes);
  if (form === 'block') return { text: unwrap(Buffer.from(ciphertext, 'base64'), digest, label).toString() };

  const parts = ciphertext.split('.');
  const [head, wrapped, iv, body, tag] = parts.map((part) => Buffer.from(part, 'base64url'));
  const header = JSON.parse(head);
  let key;
  if (header.epk) {
    const z = diffieHellman({ privateKey, publicKey: createPublicKey({ key: header.epk, format: 'jwk' }) });
    const info = Buffer.from(`\0\0\0\u0007${header.enc}\0\0\0\0\0\0\0\0\0\0\u0001\0`, 'latin1');
    key = createHash('sha256').update(Buffer.from([0, 0, 0, 1])).update(z).update(info).digest();
  } else {
    key = unwrap(wrapped, digest);
  }
  const decipher = createDecipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(parts[0])).setAuthTag(tag);
  return { header, text: Buffer.concat([decipher.update(body), decipher.final()]).toString() };
}

module.exports = { DAY, START, issued, open, pairOf, standingClock };
