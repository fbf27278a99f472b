import kms from './index.js';

export const {
  DeviceClient, InvalidKey, KeyRefused, SecretTooLong, UnsupportedForm, issueWithPg,
} = kms;
