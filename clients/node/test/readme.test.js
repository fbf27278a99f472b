'use strict';

const assert = require('node:assert');
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const test = require('node:test');
const { DeviceClient, KeyRefused } = require('../index.js');
const { issued, open } = require('./support.js');

test('the device of README', async () => {
  const [, code] = /^<!-- device -->\n```js\n(.*?)^```$/ms.exec(readFileSync(join(__dirname, '../README.md'), 'utf8'));
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
  const asked = [];
  const received = [];
  async function post(path, body) {
    const sent = JSON.parse(JSON.stringify(body));
    const answer = (status, value) => new Response(JSON.stringify(value), { status });
    if (path === '/key') {
      asked.push(sent);
      return answer(200, issued({ algorithm_used: sent.algorithm, key_id: `key_${asked.length}` }));
    }
    received.push(open(sent, 'X25519').text);
    return received.length === 1 ? answer(409, { sqlstate: 'KM004' }) : answer(200, {});
  }
  await new AsyncFunction('DeviceClient', 'KeyRefused', 'post', code)(DeviceClient, KeyRefused, post);
  assert.deepStrictEqual(received, ['4711', '4711']);
  assert.deepStrictEqual(asked, [{ algorithm: 'X25519' }, { algorithm: 'X25519' }]);
});
