'use strict';

const assert = require('node:assert');
const test = require('node:test');
const { DeviceClient, KeyRefused } = require('../index.js');
const { DAY, START, issued, open, standingClock } = require('./support.js');

// A client whose backend issues key_1, key_2, …; "issue" may change or refuse them.
function setup({ issue = () => ({}), clock = standingClock(), ...options } = {}) {
  const self = { fetches: 0, clock, errors: [], keys: [] };
  self.client = new DeviceClient({
    async fetchKey() {
      const n = ++self.fetches;
      const now = START + clock.time - 1000;
      return issued({
        key_id: `key_${n}`,
        renew_at: new Date(now + 27 * DAY).toISOString(),
        expires_at: new Date(now + 30 * DAY).toISOString(),
        server_time: new Date(now).toISOString(),
        ...await issue(n),
      });
    },
    onKey: (key) => self.keys.push(key),
    onRenewalError: (error) => self.errors.push(error.message),
    clock,
    ...options,
  });
  self.keyId = async () => (await self.client.encrypt('4711')).keyId;
  return self;
}

const down = () => { throw new Error('backend is down'); };
const after = (n, fail) => (i) => (i > n ? fail() : {});

test('a key is used until renew_at', async () => {
  const { clock, keyId } = setup();
  assert.strictEqual(await keyId(), 'key_1');
  clock.pass(27 * DAY - 1);
  assert.strictEqual(await keyId(), 'key_1');
  clock.pass(1);
  assert.strictEqual(await keyId(), 'key_2');
});

test('the clock of the device may be wrong if the server says its time', async () => {
  for (const wrong of [-400 * DAY, 400 * DAY]) {
    const self = setup({ clock: standingClock(START + wrong) });
    await self.keyId();
    self.clock.pass(27 * DAY - 1);
    assert.strictEqual(await self.keyId(), 'key_1');
    self.clock.pass(1);
    assert.strictEqual(await self.keyId(), 'key_2');
    const message = await self.client.encrypt('4711', { iat: true });
    assert.strictEqual(open(message, 'RSA-2048').header.iat, (START + 27 * DAY) / 1000);
  }
});

test('a clock that is set back, and sleep, make no key live longer', async () => {
  const setBack = setup();
  await setBack.keyId();
  setBack.clock.offset -= 20 * DAY;
  setBack.clock.pass(27 * DAY);
  assert.strictEqual(await setBack.keyId(), 'key_2');

  const asleep = setup();
  await asleep.keyId();
  asleep.clock.offset += 27 * DAY;
  assert.strictEqual(await asleep.keyId(), 'key_2');
});

test('a slow fetch makes no renewal too early and no expiry too late', async () => {
  const self = setup({ issue: (n) => (n === 1 ? self.clock.pass(60e3) ?? {} : down()) });
  await self.keyId();
  self.clock.pass(27 * DAY - 1);
  await self.keyId();
  assert.strictEqual(self.fetches, 1);
  const message = await self.client.encrypt('4711', { iat: true });
  assert.strictEqual(open(message, 'RSA-2048').header.iat, (START + 27 * DAY) / 1000 - 1);
  self.clock.pass(1);
  await self.keyId();
  assert.strictEqual(self.fetches, 2);
  self.clock.pass(3 * DAY - 60e3);
  await assert.rejects(self.keyId(), /backend is down/);
});

test('without the server\'s time the own clock counts', async () => {
  const { clock, keyId } = setup({ issue: () => ({ server_time: undefined }) });
  await keyId();
  clock.pass(27 * DAY);
  assert.strictEqual(await keyId(), 'key_2');
});

test('a clock that is ahead does not make each call fetch a key', async () => {
  const self = setup({ issue: () => ({ server_time: undefined }), clock: standingClock(START + 400 * DAY) });
  for (let i = 0; i < 5; i++) await self.keyId();
  assert.strictEqual(self.fetches, 1);
  self.clock.pass(60e3);
  await self.keyId();
  assert.strictEqual(self.fetches, 2);
});

test('a server that does not renew is not asked by each call', async () => {
  const self = setup({ issue: () => ({ key_id: 'key_1', renew_at: new Date(START).toISOString() }) });
  for (let i = 0; i < 5; i++) await self.keyId();
  assert.strictEqual(self.fetches, 1);
  self.clock.pass(60e3);
  for (let i = 0; i < 5; i++) await self.keyId();
  assert.strictEqual(self.fetches, 2);
});

test('after a failed renewal the old key serves until it expires', async () => {
  const self = setup({ issue: after(1, down) });
  await self.keyId();
  self.clock.pass(27 * DAY);
  assert.strictEqual(await self.keyId(), 'key_1');
  assert.strictEqual(await self.keyId(), 'key_1');
  assert.deepStrictEqual([self.fetches, self.errors], [2, ['backend is down']]);
  self.clock.pass(60e3);
  assert.strictEqual(await self.keyId(), 'key_1');
  assert.strictEqual(self.fetches, 3);

  self.clock.pass(3 * DAY - 60e3 - 1);
  assert.strictEqual(await self.keyId(), 'key_1');
  self.clock.pass(1);
  await assert.rejects(self.keyId(), /backend is down/);
  await assert.rejects(self.keyId(), /backend is down/);
});

test('a renewal that brings no valid key has failed', async () => {
  const self = setup({ issue: after(1, () => ({ algorithm_used: 'X25519' })), algorithm: 'RSA-2048' });
  await self.keyId();
  self.clock.pass(27 * DAY);
  assert.strictEqual(await self.keyId(), 'key_1');
  assert.match(self.errors[0], /asked for/);
});

test('the error of the first fetch passes through, and the next call fetches again', async () => {
  const self = setup({ issue: (n) => (n === 1 ? down() : {}) });
  await assert.rejects(self.keyId(), /backend is down/);
  assert.strictEqual(await self.keyId(), 'key_2');
});

test('concurrent callers share a fetch', async () => {
  const self = setup();
  const ids = await Promise.all(Array.from({ length: 20 }, self.keyId));
  assert.deepStrictEqual([self.fetches, new Set(ids)], [1, new Set(['key_1'])]);
  self.clock.pass(27 * DAY);
  await Promise.all(Array.from({ length: 20 }, self.keyId));
  assert.strictEqual(self.fetches, 2);

  const failing = setup({ issue: down });
  const results = await Promise.allSettled(Array.from({ length: 20 }, failing.keyId));
  assert.deepStrictEqual([failing.fetches, results.filter((r) => r.status === 'rejected').length], [1, 20]);
});

test('during a renewal the others go on with the old key', async () => {
  let answer;
  const self = setup({ issue: (n) => (n === 1 ? {} : new Promise((resolve) => { answer = resolve; })) });
  await self.keyId();
  self.clock.pass(27 * DAY);
  const renewal = self.keyId();
  assert.strictEqual(await self.keyId(), 'key_1');
  answer({});
  assert.strictEqual(await renewal, 'key_2');
});

// ---- send ------------------------------------------------------------------

function refusal(code) {
  return Object.assign(new Error('refused'), { code });
}

// "submit" that refuses the first "times" messages.
function refusing(times, makeError) {
  const submit = async (message) => {
    submit.sent.push(message.keyId);
    if (submit.sent.length <= times) throw makeError();
    return open(message, 'RSA-2048').text;
  };
  submit.sent = [];
  return submit;
}

for (const [what, makeError, options] of [
  ['KM003', () => refusal('KM003')],
  ['KM004', () => refusal('KM004')],
  ['a KeyRefused', () => new KeyRefused('KM004')],
  ['a cause', () => new Error('query failed', { cause: refusal('KM003') })],
  ['sqlstateOf', () => Object.assign(new Error(), { meta: 'KM003' }), { sqlstateOf: (error) => error.meta }],
]) {
  test(`${what}: another key, once`, async () => {
    const self = setup(options);
    const submit = refusing(1, makeError);
    assert.strictEqual(await self.client.send('4711', submit), '4711');
    assert.deepStrictEqual([submit.sent, self.fetches], [['key_1', 'key_2'], 2]);
    assert.strictEqual(await self.keyId(), 'key_2');
  });

  test(`${what}: a second refusal passes through`, async () => {
    const self = setup(options);
    const submit = refusing(2, makeError);
    await assert.rejects(self.client.send('4711', submit));
    assert.deepStrictEqual(submit.sent, ['key_1', 'key_2']);
    assert.strictEqual(await self.keyId(), 'key_3');
  });
}

for (const code of ['KM001', 'KM002', 'KM005', 'KM007', 'KM008', 'KM009', '22023', '57P01', 'ECONNRESET', undefined]) {
  test(`${code} passes through`, async () => {
    const self = setup();
    const error = refusal(code);
    const submit = refusing(9, () => error);
    await assert.rejects(self.client.send('4711', submit), (found) => found === error);
    assert.deepStrictEqual([submit.sent, self.fetches], [['key_1'], 1]);
    // A key that is not found was destroyed.
    assert.strictEqual(await self.keyId(), code === 'KM002' ? 'key_2' : 'key_1');
  });
}

test('the same key is not sent again', async () => {
  const self = setup({ issue: () => ({ key_id: 'key_1' }) });
  const submit = refusing(9, () => refusal('KM004'));
  await assert.rejects(self.client.send('4711', submit), { code: 'KM004' });
  assert.deepStrictEqual([submit.sent, self.fetches], [['key_1'], 2]);
});

test('a refused key does not serve if there is no other', async () => {
  const self = setup({ issue: after(1, down) });
  await assert.rejects(self.client.send('4711', refusing(1, () => refusal('KM004'))), /backend is down/);
  await assert.rejects(self.keyId(), /backend is down/);
});

test('an option that is undefined is like none', async () => {
  const self = setup(Object.fromEntries(['algorithm', 'oaepHash', 'mgf1Hash', 'form', 'savedKey', 'onKey',
    'onRenewalError', 'sqlstateOf', 'retrySeconds'].map((name) => [name, undefined])));
  assert.strictEqual(await self.client.send('4711', refusing(1, () => refusal('KM003'))), '4711');
});

test('the caller may wipe its secret during the call', async () => {
  const self = setup();
  for (const call of ['encrypt', 'send']) {
    self.client.forget();
    const secret = Buffer.from('4711');
    const submit = refusing(1, () => refusal('KM004'));
    const running = self.client[call](secret, ...(call === 'send' ? [submit] : []));
    secret.fill(0);
    const result = await running;
    assert.strictEqual(call === 'send' ? result : open(result, 'RSA-2048').text, '4711');
  }
});

test('many refusals of a key share a fetch', async () => {
  const self = setup();
  await self.keyId();
  let sent = 0;
  await Promise.all(Array.from({ length: 20 }, () => self.client.send('4711', async ({ keyId }) => {
    sent++;
    if (keyId === 'key_1') throw refusal('KM004');
  })));
  assert.deepStrictEqual([self.fetches, sent], [2, 40]);
});

test('a fetch that began before the refusal may bring the refused key', async () => {
  const answers = {};
  const self = setup({ issue: (n) => (n === 1 ? {} : new Promise((resolve) => { answers[n] = resolve; })) });
  await self.keyId();
  self.clock.pass(27 * DAY);
  const renewal = self.keyId();
  const sent = self.client.send('4711', async ({ keyId }) => {
    if (keyId === 'key_1') throw refusal('KM004');
    return keyId;
  });
  await new Promise(setImmediate);
  answers[2]({ key_id: 'key_1' });
  await renewal;
  await new Promise(setImmediate);
  answers[3]({});
  assert.strictEqual(await sent, 'key_3');
});

test('forget', async () => {
  const self = setup();
  await self.keyId();
  self.client.forget('key_0');
  assert.strictEqual(await self.keyId(), 'key_1');
  self.client.forget('key_1');
  assert.strictEqual(await self.keyId(), 'key_2');
  self.client.forget();
  assert.strictEqual(await self.keyId(), 'key_3');
});

test('onKey may use the client, and is awaited', async () => {
  const ids = [];
  const self = setup({
    async onKey() {
      await new Promise(setImmediate);
      ids.push(await self.client.send('4711', ({ keyId }) => keyId));
    },
  });
  await self.keyId();
  assert.deepStrictEqual(ids, ['key_1']);
  self.clock.pass(27 * DAY);
  await self.keyId();
  assert.deepStrictEqual(ids, ['key_1', 'key_2']);
  await self.client.send('4711', refusing(1, () => refusal('KM004')));
  assert.deepStrictEqual([ids, self.fetches], [['key_1', 'key_2', 'key_3'], 3]);
});

for (const [what, onKey] of [
  ['throws', () => { throw new Error('disk is full'); }],
  ['rejects', async () => { throw new Error('disk is full'); }],
]) {
  test(`onKey that ${what}: the call fails, and the key is kept`, async () => {
    const self = setup({ onKey });
    for (const expected of ['key_1', 'key_2']) {
      const results = await Promise.allSettled([self.keyId(), self.keyId()]);
      assert.deepStrictEqual(results.map((result) => result.reason?.message), ['disk is full', undefined]);
      assert.strictEqual(await self.keyId(), expected);
      self.clock.pass(27 * DAY);
    }
    assert.deepStrictEqual([self.fetches, self.errors], [2, []]);
  });
}

test('a saved key serves after a restart', async () => {
  const first = setup();
  await first.keyId();
  const savedKey = JSON.parse(JSON.stringify(first.keys[0]));
  assert(!('server_time' in savedKey));

  const second = setup({ savedKey, issue: down });
  assert.strictEqual(await second.keyId(), 'key_1');
  assert.strictEqual(second.fetches, 0);
  second.clock.pass(27 * DAY);
  assert.strictEqual(await second.keyId(), 'key_1');
  assert.strictEqual(second.fetches, 1);

  // Too old by this clock, damaged, or of another kind.
  for (const options of [{ savedKey, clock: standingClock(START + 30 * DAY) },
    { savedKey: { ...savedKey, public_key: '' } }, { savedKey: 'x' },
    { savedKey, mgf1Hash: 'sha1', issue: () => ({ mgf1_hash_used: 'sha1' }) }]) {
    const third = setup(options);
    await third.keyId();
    assert.strictEqual(third.fetches, 1);
  }
});
