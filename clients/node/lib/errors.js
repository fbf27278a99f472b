'use strict';

// No message contains anything of a secret but its length.

// The backend returned something that is not a key of the kind that was asked for.
class InvalidKey extends Error {}

// The key cannot be used in the form that the caller named.
class UnsupportedForm extends Error {}

// The secret does not fit into a block.  size and limit are in bytes.
class SecretTooLong extends Error {
  constructor(size, limit, what) {
    super(`the secret has ${size} bytes, but a block of this key (${what}) takes ${limit}:`
      + ' send it with the form "jwe"');
    this.size = size;
    this.limit = limit;
  }
}

// Thrown by the function "submit" if the backend reports an SQLSTATE in a way of
// its own, such as the body of an HTTP response.
class KeyRefused extends Error {
  constructor(sqlstate, options) {
    super(`the key was refused: ${sqlstate}`, options);
    this.sqlstate = sqlstate;
  }
}

const errors = { InvalidKey, UnsupportedForm, SecretTooLong, KeyRefused };
for (const [name, type] of Object.entries(errors)) {
  Object.defineProperty(type.prototype, 'name', { value: name });
}
module.exports = errors;
