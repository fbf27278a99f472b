'use strict';

const { performance } = require('node:perf_hooks');
const { checkOptions, encryptBlock, encryptJwe, toBytes } = require('./encrypt.js');
const { KeyRefused } = require('./errors.js');
const { readKey } = require('./key.js');

const OPTIONS = ['fetchKey', 'algorithm', 'oaepHash', 'mgf1Hash', 'form', 'savedKey', 'onKey',
  'onRenewalError', 'sqlstateOf', 'retrySeconds', 'clock'];
const FORMS = ['jwe', 'block'];
// The server says with these that another key is needed (docs/reference/errors.md).
const NEEDS_ANOTHER_KEY = ['KM003', 'KM004'];
const NOT_FOUND = 'KM002';

const systemClock = { monotonic: () => performance.now(), wall: () => Date.now() };

// A key, and when it was fetched by our clocks.  Times are in milliseconds.
class HeldKey {
  constructor(key, clock, began, retry, unsaved) {
    this.key = key;
    // The argument of "onKey", until that was called.
    this.unsaved = unsaved;
    this.clock = clock;
    this.began = began;
    // The server read its clock at some moment of the fetch.
    this.took = key.serverTime === undefined ? 0 : clock.monotonic() - began.monotonic;
    // Without the server's time we have only our own, which may be wrong.
    this.fetchedAt = key.serverTime ?? began.wall;
    this.expiresAfter = key.expiresAt - this.fetchedAt;
    // A clock that is ahead must not make a new key look expired, or each
    // secret would fetch a key.
    if (key.serverTime === undefined) this.expiresAfter = Math.max(this.expiresAfter, retry);
    this.renewsAfter = Math.max(key.renewAt - this.fetchedAt, retry);
  }

  // How long the key has been held.  The monotonic clock stands still while the
  // machine sleeps, and the other one may be set back.
  get age() {
    return Math.max(this.clock.monotonic() - this.began.monotonic, this.clock.wall() - this.began.wall);
  }

  get isUsable() { return this.age < this.expiresAfter; }

  // Not before renew_at by the server's clock, or it would return the same key.
  get isDue() { return this.age - this.took >= this.renewsAfter; }

  // The server's time, as far as we know it, and rather late than early.
  get now() {
    return this.key.serverTime === undefined ? this.clock.wall() : this.fetchedAt + this.age - this.took;
  }
}

class DeviceClient {
  #fetchKey;
  #wanted;
  #options;
  #clock;
  #retry;
  #held;
  #flight;

  constructor(options) {
    for (const name of Object.keys(options ?? {})) {
      if (!OPTIONS.includes(name)) throw new TypeError(`"${name}" is not an option of the client`);
    }
    const { fetchKey, algorithm, oaepHash, mgf1Hash, savedKey, ...others } = options ?? {};
    if (typeof fetchKey !== 'function') throw new TypeError('"fetchKey" is not a function');
    this.#fetchKey = fetchKey;
    this.#wanted = {
      algorithm: algorithm ?? undefined, oaepHash: oaepHash ?? undefined, mgf1Hash: mgf1Hash ?? undefined,
    };
    this.#options = { ...others, form: others.form ?? 'jwe', sqlstateOf: others.sqlstateOf ?? sqlstateOf };
    checkForm(this.#options.form);
    this.#clock = others.clock ?? systemClock;
    this.#retry = 1000 * (others.retrySeconds ?? 60);
    if (!(this.#retry >= 0)) throw new TypeError('"retrySeconds" is not a number from 0 on');
    if (savedKey != null) this.#restore(savedKey);
  }

  // Encrypt a secret.  Returns the key's id, the form and the ciphertext.
  async encrypt(secret, options = {}) {
    const request = this.#request(secret, options);
    try {
      return (await this.#encrypt(request)).message;
    } finally {
      request.bytes.fill(0);
    }
  }

  // Encrypt a secret, and let "submit" send it.  If the server answers that the
  // key has expired (KM003) or is disabled or revoked (KM004), ask for another
  // key and do it once more.
  async send(secret, submit, options = {}) {
    if (typeof submit !== 'function') throw new TypeError('"submit" is not a function');
    const request = this.#request(secret, options);
    try {
      return await this.#send(request, submit);
    } finally {
      request.bytes.fill(0);
    }
  }

  // Forget the key, or only the key with this id: the next call fetches one.
  forget(keyId) {
    if (keyId === undefined || this.#held?.key.keyId === keyId) this.#held = undefined;
  }

  // The arguments of a call, checked and copied: the caller may wipe its own
  // during the fetch.
  #request(secret, options) {
    const form = options.form ?? this.#options.form;
    checkForm(form);
    checkOptions(options, form);
    return { ...options, form, header: { ...options.header }, bytes: toBytes(secret) };
  }

  async #send(request, submit) {
    const { held, message } = await this.#encrypt(request);
    try {
      return await submit(message);
    } catch (error) {
      const sqlstate = this.#options.sqlstateOf(error);
      if (sqlstate === NOT_FOUND) this.forget(message.keyId);
      if (!NEEDS_ANOTHER_KEY.includes(sqlstate)) throw error;
      const other = await this.#replace(held);
      // The server would refuse the same key again.
      if (other.key.keyId === message.keyId) throw error;
      return this.#sendAgain(await this.#encrypt(request, other), submit);
    }
  }

  async #sendAgain({ message }, submit) {
    try {
      return await submit(message);
    } catch (error) {
      if ([NOT_FOUND, ...NEEDS_ANOTHER_KEY].includes(this.#options.sqlstateOf(error))) {
        this.forget(message.keyId);
      }
      throw error;
    }
  }

  async #encrypt({ bytes, form, label, header, iat }, other) {
    const held = other ?? await this.#usableKey();
    await this.#save(held);
    const { key } = held;
    const ciphertext = form === 'block' ? encryptBlock(key, bytes, label)
      : encryptJwe(key, bytes, { ...header, ...(iat ? { iat: Math.floor(held.now / 1000) } : {}) });
    return { held, message: { keyId: key.keyId, form, ciphertext } };
  }

  // From renew_at on, one caller asks for the next key, and the others go on
  // with the old one, as that caller does if it gets none.
  async #usableKey() {
    const held = this.#held;
    if (!held?.isUsable) return this.#fetch();
    if (!held.isDue || this.#flight) return held;
    held.renewsAfter = held.age + this.#retry;
    try {
      return await this.#fetch();
    } catch (error) {
      // In the meantime it may have expired or been refused.
      if (!this.#held?.isUsable) throw error;
      this.#options.onRenewalError?.(error);
      return this.#held;
    }
  }

  // Another key than one that the server refused.
  async #replace(refused) {
    this.forget(refused.key.keyId);
    // That fetch may have begun before the key was refused.
    await this.#flight?.catch(() => {});
    this.forget(refused.key.keyId);
    return this.#held?.isUsable ? this.#held : this.#fetch();
  }

  // Callers that come while a fetch is under way share it.
  #fetch() {
    this.#flight ??= this.#fetchOne().finally(() => { this.#flight = undefined; });
    return this.#flight;
  }

  async #fetchOne() {
    const began = this.#readClock();
    const row = await this.#fetchKey({ ...this.#wanted });
    // By the time of a next start, server_time would be old.
    const unsaved = { ...row, server_time: undefined };
    this.#held = new HeldKey(readKey(row, this.#wanted), this.#clock, began, this.#retry, unsaved);
    return this.#held;
  }

  // Let "onKey" save a new key.  The fetch is over by then, so that "onKey" may
  // use the client, and its error is not one of the fetch.
  async #save(held) {
    const { unsaved } = held;
    held.unsaved = undefined;
    if (unsaved) await this.#options.onKey?.(unsaved);
  }

  // A saved key that is not valid, or not by our clock, is like none.
  #restore(row) {
    try {
      const key = readKey({ ...row, server_time: undefined }, this.#wanted);
      this.#held = new HeldKey(key, this.#clock, this.#readClock(), 0);
    } catch {
      this.#held = undefined;
    }
  }

  #readClock() {
    return { monotonic: this.#clock.monotonic(), wall: this.#clock.wall() };
  }
}

function checkForm(form) {
  if (!FORMS.includes(form)) throw new TypeError('"form" is neither "jwe" nor "block"');
}

// node-postgres has the SQLSTATE in "code"; an error around it has a "cause".
function sqlstateOf(error) {
  let found = error;
  for (let depth = 0; found != null && depth < 8; depth++, found = found.cause) {
    if (found instanceof KeyRefused) return found.sqlstate;
    if (NEEDS_ANOTHER_KEY.includes(found.code) || found.code === NOT_FOUND) return found.code;
  }
  return undefined;
}

module.exports = { DeviceClient };
