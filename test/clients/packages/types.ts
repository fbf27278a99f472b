// Not run: a compiler judges these uses of the package.
import {
  DeviceClient, InvalidKey, KeyRefused, SecretTooLong, UnsupportedForm, issueWithPg,
} from 'kms-device-client';
import type { EncryptedMessage, IssuedKey, Pool, Wanted } from 'kms-device-client';

declare const pool: Pool;
declare const pgClient: Pick<Pool, 'query'>;
declare const saved: IssuedKey | null;

export async function use(): Promise<string> {
  const issue: (wanted?: Wanted) => Promise<IssuedKey> = issueWithPg(pool, 'phone-1', { appVersion: '1' });
  const client = new DeviceClient({
    fetchKey: issue, algorithm: 'EC-P256', savedKey: saved, onKey: (key) => key.renew_at,
    onRenewalError: (error: unknown) => error, sqlstateOf: () => undefined, retrySeconds: 1,
  });
  const message: EncryptedMessage = await client.encrypt(new Uint8Array(1), { header: { purpose: 'x' }, iat: true });
  await client.encrypt('4711', { form: 'block', label: new Uint8Array(1) });
  client.forget(message.keyId);
  client.forget();
  const sent: number = await client.send('4711', ({ keyId, ciphertext }) => keyId.length + ciphertext.length);

  try {
    throw new KeyRefused('KM003', { cause: sent });
  } catch (error) {
    if (error instanceof SecretTooLong) return String(error.size - error.limit);
    if (error instanceof InvalidKey || error instanceof UnsupportedForm) return error.message;
    if (error instanceof KeyRefused) return error.sqlstate;
  }

  // @ts-expect-error: a client of node-postgres may be in a transaction
  issueWithPg(pgClient, 'phone-1');
  // @ts-expect-error: there is no such algorithm
  new DeviceClient({ fetchKey: issue, algorithm: 'RSA-1024' });
  // @ts-expect-error: fetchKey is missing
  new DeviceClient({});
  // @ts-expect-error: a block has no header
  await client.encrypt('4711', { form: 'block', header: {} });
  // @ts-expect-error: a JWE has no label
  await client.encrypt('4711', { form: 'jwe', label: new Uint8Array(1) });
  // @ts-expect-error: a secret is no number
  await client.encrypt(4711);
  return '';
}
