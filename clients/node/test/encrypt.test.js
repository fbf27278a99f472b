'use strict';

const assert = require('node:assert');
const { generateKeyPairSync } = require('node:crypto');
const test = require('node:test');
const kms = require('../index.js');
const { issued, open, pairOf } = require('./support.js');

const { DeviceClient, InvalidKey, SecretTooLong, UnsupportedForm } = kms;
const clientOf = (changes, options) => new DeviceClient({ fetchKey: () => issued(changes), ...options });

for (const algorithm of ['RSA-2048', 'RSA-3072', 'RSA-4096', 'EC-P256', 'X25519']) {
  test(`a JWE for ${algorithm}`, async () => {
    const client = clientOf({ algorithm_used: algorithm });
    for (const secret of ['', 'Größe 密码 🔑', 'x'.repeat(20000)]) {
      const message = await client.encrypt(secret);
      const { header, text } = open(message, algorithm);
      assert.strictEqual(text, secret);
      assert.strictEqual(message.keyId, 'key_1');
      assert.deepStrictEqual({ ...header, epk: undefined }, {
        alg: algorithm.startsWith('RSA') ? 'RSA-OAEP-256' : 'ECDH-ES',
        enc: 'A256GCM', kid: 'key_1', epk: undefined,
      });
    }
  });
}

test('alg is that of the digests, and RSA-OAEP-256 if they have no name', async () => {
  for (const [oaep, mgf1, alg, digest] of [
    ['sha1', 'sha1', 'RSA-OAEP', 'sha1'],
    ['sha384', 'sha384', 'RSA-OAEP-384', 'sha384'],
    ['sha512', 'sha512', 'RSA-OAEP-512', 'sha512'],
    ['sha256', 'sha1', 'RSA-OAEP-256', 'sha256'],
    ['sha224', 'sha224', 'RSA-OAEP-256', 'sha256'],
  ]) {
    const client = clientOf({ oaep_hash_used: oaep, mgf1_hash_used: mgf1 });
    const { header, text } = open(await client.encrypt('4711'), 'RSA-2048', digest);
    assert.deepStrictEqual([header.alg, text], [alg, '4711']);
  }
});

test('a block has the digests of the key', async () => {
  for (const digest of ['sha1', 'sha224', 'sha256', 'sha384', 'sha512', 'sha512-224', 'sha512-256']) {
    const client = clientOf({ oaep_hash_used: digest, mgf1_hash_used: digest }, { form: 'block' });
    assert.strictEqual(open(await client.encrypt('4711'), 'RSA-2048', digest).text, '4711');
  }
});

test('a block has the label', async () => {
  const label = Buffer.from('pin');
  const message = await clientOf().encrypt('4711', { form: 'block', label });
  assert.strictEqual(open(message, 'RSA-2048', 'sha256', label).text, '4711');
  assert.throws(() => open(message, 'RSA-2048'));
});

test('the longest block, and a byte more', async () => {
  for (const [digest, limit] of [['sha1', 214], ['sha256', 190], ['sha512', 126]]) {
    const client = clientOf({ oaep_hash_used: digest, mgf1_hash_used: digest }, { form: 'block' });
    assert.strictEqual(open(await client.encrypt('a'.repeat(limit)), 'RSA-2048', digest).text.length, limit);
    await assert.rejects(client.encrypt('a'.repeat(limit + 1)), (error) => {
      assert(error instanceof SecretTooLong);
      assert.deepStrictEqual([error.name, error.size, error.limit], ['SecretTooLong', limit + 1, limit]);
      assert.match(error.message, /the form "jwe"/);
      assert.doesNotMatch(error.message, /aaa/);
      return true;
    });
  }
});

test('keys without a block of Node say what to do instead', async () => {
  for (const changes of [{ algorithm_used: 'EC-P256' }, { mgf1_hash_used: 'sha1' },
    { oaep_hash_used: undefined, mgf1_hash_used: undefined,
      jwk: pairOf('RSA-2048').publicKey.export({ format: 'jwk' }) }]) {
    await assert.rejects(clientOf(changes, { form: 'block' }).encrypt('4711'), (error) => {
      assert(error instanceof UnsupportedForm);
      return /the form "jwe"/.test(error.message);
    });
  }
});

test('the header has a purpose and a time', async () => {
  const client = clientOf();
  const { header } = open(await client.encrypt('4711', { header: { purpose: 'login' }, iat: true }), 'RSA-2048');
  assert.strictEqual(header.purpose, 'login');
  assert(Number.isInteger(header.iat));
});

test('options that would be ignored or do harm are refused', async () => {
  const client = clientOf();
  for (const options of [{ purpose: 'login' }, { form: 'JWE' }, { label: Buffer.alloc(1) },
    { form: 'block', header: {} }, { form: 'block', iat: true }, { form: 'block', label: 'pin' },
    { iat: 1 }, { header: [] }, { header: { purpose: undefined } }, { iat: true, header: { iat: 1 } },
    ...['alg', 'enc', 'kid', 'epk', 'apu', 'apv', 'crit', 'zip', 'jwk', 'jku', 'x5u', 'x5c']
      .map((name) => ({ header: { [name]: 'x' } }))]) {
    await assert.rejects(client.encrypt('4711', options), TypeError, JSON.stringify(options));
  }
  for (const options of [undefined, {}, { fetchKey: 1 }, { fetchKey() {}, digest: 'sha1' },
    { fetchKey() {}, form: 'oaep' }, { fetchKey() {}, retrySeconds: -1 }]) {
    assert.throws(() => new DeviceClient(options), TypeError);
  }
});

test('a secret that is no text and no bytes is refused without being shown', async () => {
  let fetches = 0;
  const client = new DeviceClient({ fetchKey: () => { fetches++; return issued(); } });
  for (const secret of [4711, null, undefined, ['4711'], { pin: '4711' }, '4711\ud83d']) {
    await assert.rejects(client.encrypt(secret), (error) => error instanceof TypeError
      && !error.message.includes('4711'));
  }
  assert.strictEqual(fetches, 0);
  const bytes = new Uint8Array([52, 55, 49, 49]);
  assert.strictEqual(open(await client.encrypt(bytes), 'RSA-2048').text, '4711');
  assert.deepStrictEqual([...bytes], [52, 55, 49, 49]);
});

test('a JWK stands for the PEM and for its properties', async () => {
  const times = { ...issued(), public_key: undefined, algorithm_used: undefined,
    oaep_hash_used: undefined, mgf1_hash_used: undefined };
  for (const [algorithm, alg, digest] of [['RSA-2048', 'RSA-OAEP', 'sha1'], ['RSA-3072', 'RSA-OAEP-384', 'sha384'],
    ['RSA-2048', undefined, 'sha256'], ['EC-P256', 'ECDH-ES'], ['X25519', 'ECDH-ES']]) {
    const jwk = { ...pairOf(algorithm).publicKey.export({ format: 'jwk' }), kid: 'key_1', use: 'enc' };
    if (alg) jwk.alg = alg;
    const client = new DeviceClient({ fetchKey: () => ({ ...times, jwk }), algorithm });
    const { header, text } = open(await client.encrypt('4711'), algorithm, digest);
    assert.deepStrictEqual([header.alg, text], [alg ?? 'RSA-OAEP-256', '4711']);
  }
});

const rsa1024 = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
const pem = (key) => key.export({ type: 'spki', format: 'pem' });
const jwkOf = (algorithm) => pairOf(algorithm).publicKey.export({ format: 'jwk' });
const onlyJwk = (jwk) => ({ public_key: null, algorithm_used: null, oaep_hash_used: null, mgf1_hash_used: null, jwk });
const zeros = Buffer.alloc(32).toString('base64url');

for (const [what, changes, options] of [
  ['no object', null],
  ['no key id', { key_id: undefined }],
  ['a key id with a blank', { key_id: 'key 1' }],
  ['a key id that is too long', { key_id: 'k'.repeat(129) }],
  ['no key', { public_key: undefined }],
  ['no PEM', { public_key: 'key' }],
  ['a private key', { public_key: pairOf('RSA-2048').privateKey.export({ type: 'pkcs8', format: 'pem' }) }],
  ['PKCS#1', { public_key: pairOf('RSA-2048').publicKey.export({ type: 'pkcs1', format: 'pem' }) }],
  ['two keys', { public_key: pem(pairOf('RSA-2048').publicKey).repeat(2) }],
  ['a PEM of something else', { public_key: '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n' }],
  ['RSA of 1024 bits', { public_key: pem(rsa1024) }],
  ['RSASSA-PSS', { public_key: pem(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey) }],
  ['another curve', { public_key: pem(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey) }],
  ['an explicit curve', { algorithm_used: 'EC-P256', public_key: pem(generateKeyPairSync('ec',
    { namedCurve: 'P-256', paramEncoding: 'explicit' }).publicKey) }],
  ['Ed25519', { public_key: pem(generateKeyPairSync('ed25519').publicKey) }],
  ['another size than it says', { algorithm_used: 'RSA-3072', public_key: issued().public_key }],
  ['another type than it says', { algorithm_used: 'X25519', public_key: issued().public_key }],
  ['no algorithm', { algorithm_used: undefined }],
  ['no digests', { oaep_hash_used: undefined, mgf1_hash_used: undefined }],
  ['one digest', { mgf1_hash_used: undefined }],
  ['an unknown digest', { oaep_hash_used: 'md5' }],
  ['a digest for a curve', { algorithm_used: 'X25519', oaep_hash_used: 'sha1' }],
  ['no times', { renew_at: undefined }],
  ['a time that never comes', { expires_at: 'infinity' }],
  ['a time without its zone', { expires_at: '2026-12-30 12:00:00' }],
  ['a date that does not exist', { expires_at: '2026-13-30 12:00:00Z' }],
  ['a JWK of another key', { jwk: generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey
    .export({ format: 'jwk' }) }],
  ['a JWK that is private', { jwk: pairOf('RSA-2048').privateKey.export({ format: 'jwk' }) }],
  ['a JWK of another id', { jwk: { ...jwkOf('RSA-2048'), kid: 'key_2' } }],
  ['a JWK for signatures', { jwk: { ...jwkOf('RSA-2048'), use: 'sig' } }],
  ['a JWK with other digests', { jwk: { ...jwkOf('RSA-2048'), alg: 'RSA-OAEP' } }],
  ['a JWK with PKCS#1 v1.5', onlyJwk({ ...jwkOf('RSA-2048'), alg: 'RSA1_5' })],
  ['a JWK with the alg of a curve', onlyJwk({ ...jwkOf('RSA-2048'), alg: 'ECDH-ES' })],
  ['a JWK that is a text', onlyJwk('{}')],
  ['a JWK of an unknown type', onlyJwk({ kty: 'AKP' })],
  ['a JWK with padding', onlyJwk({ ...jwkOf('X25519'), x: `${jwkOf('X25519').x}=` })],
  ['a short coordinate', onlyJwk({ ...jwkOf('EC-P256'), x: 'AQAB' })],
  ['a point that is not on the curve', onlyJwk({ ...jwkOf('EC-P256'), y: jwkOf('EC-P256').x })],
  ['a point of small order', onlyJwk({ kty: 'OKP', crv: 'X25519', x: zeros })],
  ['another algorithm than asked for', {}, { algorithm: 'RSA-3072' }],
  ['another digest than asked for', {}, { oaepHash: 'sha512' }],
  ['another MGF1 digest than asked for', { mgf1_hash_used: 'sha1' }, { mgf1Hash: 'sha256' }],
]) {
  test(`${what} is not taken for a key`, async () => {
    const fetchKey = () => changes && issued(changes);
    await assert.rejects(new DeviceClient({ fetchKey, ...options }).encrypt('4711'), (error) => {
      assert(error instanceof InvalidKey, error.stack);
      assert.strictEqual(error.name, 'InvalidKey');
      return true;
    });
  });
}

test('times as PostgreSQL, JSON and drivers write them', async () => {
  for (const expires_at of ['2036-12-30 12:00:00+00', '2036-12-30 13:30:00.123456+01:30',
    '2036-12-30T12:00:00.5Z', '2036-12-30 12:00:00-0330', new Date('2036-12-30')]) {
    await clientOf({ expires_at }).encrypt('4711');
  }
});

test('issueWithPg asks for what is wanted, as text in UTC', async () => {
  const asked = [];
  const pool = { totalCount: 0, async query(text, values) { asked.push([text, values]); return { rows: [issued()] }; } };
  const issue = kms.issueWithPg(pool, 'phone-1', { appVersion: '2.3', schema: 'my"keys' });
  await new DeviceClient({ fetchKey: issue, oaepHash: 'sha256' }).encrypt('4711');
  await issue();
  assert.deepStrictEqual(asked.map(([, values]) => values),
    [['phone-1', '2.3', null, 'sha256', null], ['phone-1', '2.3', null, null, null]]);
  assert.match(asked[0][0], /FROM "my""keys"\.kms_issue_key\(/);
  assert.throws(() => kms.issueWithPg(pool, 17), TypeError);
  // A client, which may be in a transaction
  for (const other of [{ query: pool.query }, undefined]) {
    assert.throws(() => kms.issueWithPg(other, 'phone-1'), { name: 'TypeError', message: /not a pool/ });
  }
});
