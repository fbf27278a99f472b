/** A time as PostgreSQL or JSON writes it, with its time zone, or a Date. */
export type Time = string | Date;

/** The columns of kms_issue_key.  Other properties are ignored. */
export interface IssuedKey {
  key_id: string;
  /** SPKI PEM.  Needed unless there is "jwk". */
  public_key?: string | null;
  /** What kms_jwk returns.  With it, the next three may be missing. */
  jwk?: object | null;
  algorithm_used?: string | null;
  oaep_hash_used?: string | null;
  mgf1_hash_used?: string | null;
  expires_at: Time;
  renew_at: Time;
  /** The server's clock when it issued the key.  Then a wrong clock of the device does no harm. */
  server_time?: Time | null;
}

export type Algorithm = 'RSA-2048' | 'RSA-3072' | 'RSA-4096' | 'EC-P256' | 'X25519';
export type Digest = 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512' | 'sha512-224' | 'sha512-256';
export type Form = 'jwe' | 'block';

/** The properties that the key must have.  A property that is undefined may have any value. */
export interface Wanted {
  algorithm?: Algorithm | undefined;
  oaepHash?: Digest | undefined;
  mgf1Hash?: Digest | undefined;
}

export type FetchKey = (wanted: Wanted) => Promise<IssuedKey> | IssuedKey;

export interface ClientOptions extends Wanted {
  /** Ask the application's backend for the key of this device. */
  fetchKey: FetchKey;
  /** The form of calls that name none; "jwe" unless given. */
  form?: Form | undefined;
  /** A key that "onKey" got before a restart. */
  savedKey?: IssuedKey | null | undefined;
  /** Called with each key that was fetched, to save it, and awaited by a call that is about to use it. */
  onKey?: ((key: IssuedKey) => unknown) | undefined;
  /** Called if the next key could not be had, but the old one has not expired. */
  onRenewalError?: ((error: unknown) => void) | undefined;
  /** Return the SQLSTATE of an error of "submit". */
  sqlstateOf?: ((error: unknown) => string | undefined) | undefined;
  /** Seconds from one attempt to renew a key to the next; 60 unless given. */
  retrySeconds?: number | undefined;
}

export interface JweOptions {
  form?: 'jwe' | undefined;
  /** More parameters of the protected header, such as a purpose. */
  header?: Record<string, unknown> | undefined;
  /** Add the server's time to the protected header, in seconds since 1970. */
  iat?: boolean | undefined;
}

export interface BlockOptions {
  form?: 'block' | undefined;
  label?: Uint8Array | undefined;
}

export type EncryptOptions = JweOptions | BlockOptions;

export interface EncryptedMessage {
  keyId: string;
  form: Form;
  /** The argument "ciphertext" of kms_decrypt: a JWE, or a block in base64. */
  ciphertext: string;
}

export class DeviceClient {
  constructor(options: ClientOptions);
  /** A string is encrypted as UTF-8. */
  encrypt(secret: string | Uint8Array, options?: EncryptOptions): Promise<EncryptedMessage>;
  /** Encrypt, submit, and do it once more with another key after KM003 or KM004. */
  send<T>(secret: string | Uint8Array, submit: (message: EncryptedMessage) => Promise<T> | T,
    options?: EncryptOptions): Promise<T>;
  /** Forget the key, or only the key with this id. */
  forget(keyId?: string): void;
}

/** The backend returned something that is not a key of the kind that was asked for. */
export class InvalidKey extends Error {}
/** The key cannot be used in this form. */
export class UnsupportedForm extends Error {}
/** The secret does not fit into a block. */
export class SecretTooLong extends Error {
  readonly size: number;
  readonly limit: number;
}
/** To be thrown by "submit" if the backend reported an SQLSTATE. */
export class KeyRefused extends Error {
  constructor(sqlstate: string, options?: { cause?: unknown });
  readonly sqlstate: string;
}

/** A pool of node-postgres.  A client is refused: it may be in a transaction. */
export interface Pool {
  readonly totalCount: number;
  query(text: string, values: unknown[]): Promise<{ rows: any[] }>;
}

/** For a backend: return a function that issues the key of a device. */
export function issueWithPg(pool: Pool, deviceId: string,
  options?: { appVersion?: string | undefined; schema?: string | undefined }):
  (wanted?: Wanted) => Promise<IssuedKey>;
