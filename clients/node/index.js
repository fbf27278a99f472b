'use strict';

const { DeviceClient } = require('./lib/client.js');
const { InvalidKey, KeyRefused, SecretTooLong, UnsupportedForm } = require('./lib/errors.js');
const { issueWithPg } = require('./lib/pg.js');

module.exports = {
  DeviceClient, InvalidKey, KeyRefused, SecretTooLong, UnsupportedForm, issueWithPg,
};
