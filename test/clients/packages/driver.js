// Does with the package what packages.pl says, line by line in JSON.
'use strict';

const { execFile } = require('node:child_process');
const readline = require('node:readline');
const { promisify } = require('node:util');
const { DeviceClient } = require('kms-device-client');

const state = { fetches: 0, submits: 0, keys: [] };
let client;

function camelCase(options = {}) {
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [
    name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase()),
    name === 'label' ? Buffer.from(value, 'hex') : value]));
}

async function psql(sql, ...variables) {
  const running = promisify(execFile)('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose',
    '-d', process.argv[2], ...variables.flatMap((variable) => ['-v', variable])]);
  running.child.stdin.end(sql);
  try {
    return (await running).stdout.trimEnd();
  } catch (error) {
    const [, code] = /ERROR: {2}(\w{5}):/.exec(error.stderr) ?? [];
    throw Object.assign(new Error(error.stderr), { code });
  }
}

async function fetchKey(wanted) {
  state.fetches++;
  const { algorithm = '', oaepHash = '', mgf1Hash = '' } = wanted;
  return JSON.parse(await psql(state.fetch, `algorithm=${algorithm}`, `oaep_hash=${oaepHash}`,
    `mgf1_hash=${mgf1Hash}`));
}

async function submit(message) {
  state.submits++;
  return psql(state.submit, `key_id=${message.keyId}`, `ciphertext=${message.ciphertext}`);
}

const actions = {
  client: ({ options }) => {
    state.fetches = 0;
    client = new DeviceClient({ fetchKey, ...camelCase(options) });
  },
  encrypt: ({ secret, times = 1, options }) => Promise.all(Array.from({ length: times }, async () => {
    const { keyId, form, ciphertext } = await client.encrypt(
      secret.hex === undefined ? secret.text : Buffer.from(secret.hex, 'hex'), camelCase(options));
    return [keyId, form, ciphertext];
  })),
  send: ({ secret, options }) => {
    state.submits = 0;
    return client.send(secret.text, submit, camelCase(options));
  },
};

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    Object.assign(state, command.sql);
    const answer = {};
    try {
      answer.result = await actions[command.do](command);
    } catch (error) {
      answer.error = { name: error.name, message: error.message, sqlstate: error.code };
    }
    const { fetches, submits } = state;
    console.log(JSON.stringify({ ...answer, fetches, submits }));
  }
})();
