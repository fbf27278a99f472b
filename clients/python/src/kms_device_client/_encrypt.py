"""Encrypt bytes as a block of RSA-OAEP or as a JWE."""
from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Union

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ._errors import InvalidKey, SecretTooLong, UnsupportedForm
from ._key import DIGESTS, OAEP_DIGESTS, Key

ENC = 'A256GCM'
# Parameters that say how to decrypt, or that kms refuses.
RESERVED = frozenset(['alg', 'enc', 'kid', 'epk', 'apu', 'apv', 'crit', 'zip', 'jku', 'jwk', 'x5u',
                      'x5c', 'x5t', 'x5t#S256'])


@dataclass(frozen=True)
class EncryptedMessage:
    """ciphertext: the argument of kms_decrypt, a JWE or a block in base64."""

    key_id: str
    form: str
    ciphertext: str


def to_bytes(secret: Union[str, bytes]) -> bytes:
    encoded = None
    if isinstance(secret, str):
        # UnicodeEncodeError has the text, so it must not be the context of ours.
        try:
            encoded = secret.encode()
        except UnicodeEncodeError:
            pass
        if encoded is None:
            raise ValueError('the secret is not text: it has half a surrogate pair')
        return encoded
    if isinstance(secret, (bytes, bytearray, memoryview)):
        return bytes(secret)
    raise TypeError('a secret is a str or bytes')


def encrypt_block(key: Key, secret: bytes, label: Optional[bytes]) -> str:
    """Return one block under the digests of the key, in base64."""
    if not isinstance(key.public_key, rsa.RSAPublicKey):
        raise UnsupportedForm(f'a key of {key.algorithm} has no blocks: send it with the form "jwe"')
    if key.oaep_hash is None or key.mgf1_hash is None:
        raise UnsupportedForm('the JWK does not say the digests of a block: return "oaep_hash_used"'
                              ' and "mgf1_hash_used", too, or send it with the form "jwe"')
    limit = key.public_key.key_size // 8 - 2 * DIGESTS[key.oaep_hash].digest_size - 2
    if len(secret) > limit:
        raise SecretTooLong(len(secret), limit, f'{key.algorithm}, {key.oaep_hash}')
    block = None
    try:
        block = _oaep(key.public_key, key.oaep_hash, key.mgf1_hash, secret, label)
    except UnsupportedAlgorithm:
        pass
    if block is None:
        raise UnsupportedForm(f'the package cryptography has no blocks with {key.oaep_hash} and'
                              f' MGF1-{key.mgf1_hash}: send it with the form "jwe"')
    return base64.b64encode(block).decode()


def encrypt_jwe(key: Key, secret: bytes, extra: Mapping[str, Any]) -> str:
    """Return a JWE (RFC 7516) in the compact form."""
    header: dict[str, Any] = {'alg': key.alg, 'enc': ENC, 'kid': key.key_id, **extra}
    encrypted_key = b''
    if isinstance(key.public_key, rsa.RSAPublicKey):
        content_key = os.urandom(32)
        digest = OAEP_DIGESTS[key.alg]
        encrypted_key = _oaep(key.public_key, digest, digest, content_key, None)
    else:
        agreed, header['epk'] = _agree(key.public_key)
        content_key = _derive(agreed)

    head = _base64url(json.dumps(header, separators=(',', ':'), allow_nan=False).encode())
    iv = os.urandom(12)
    sealed = AESGCM(content_key).encrypt(iv, secret, head.encode())
    parts = [encrypted_key, iv, sealed[:-16], sealed[-16:]]
    return '.'.join([head] + [_base64url(part) for part in parts])


def _oaep(public_key: rsa.RSAPublicKey, digest: str, mgf1_digest: str, secret: bytes,
          label: Optional[bytes]) -> bytes:
    return public_key.encrypt(secret, padding.OAEP(
        mgf=padding.MGF1(DIGESTS[mgf1_digest]), algorithm=DIGESTS[digest], label=label))


def _agree(public_key: Union[ec.EllipticCurvePublicKey, x25519.X25519PublicKey]
           ) -> tuple[bytes, dict[str, str]]:
    """Return what ECDH agrees on, and the ephemeral key as JWK."""
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        ephemeral = ec.generate_private_key(ec.SECP256R1())
        point = ephemeral.public_key().public_numbers()
        return ephemeral.exchange(ec.ECDH(), public_key), {
            'kty': 'EC', 'crv': 'P-256', 'x': _base64url(point.x.to_bytes(32, 'big')),
            'y': _base64url(point.y.to_bytes(32, 'big'))}
    agreed = None
    private = x25519.X25519PrivateKey.generate()
    try:
        agreed = private.exchange(public_key)
    except ValueError:
        pass
    if agreed is None:
        raise InvalidKey('the public key is a point of small order')
    return agreed, {'kty': 'OKP', 'crv': 'X25519',
                    'x': _base64url(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))}


def _derive(agreed: bytes) -> bytes:
    """One round of the Concat KDF (RFC 7518, 4.6.2), with the key for the content itself."""
    digest = hashes.Hash(hashes.SHA256())
    for part in ((1).to_bytes(4, 'big'), agreed, len(ENC).to_bytes(4, 'big'), ENC.encode(),
                 bytes(4), bytes(4), (256).to_bytes(4, 'big')):
        digest.update(part)
    return digest.finalize()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def check_arguments(form: str, header: Optional[Mapping[str, Any]], iat: bool,
                    label: Optional[bytes]) -> None:
    if form not in ('jwe', 'block'):
        raise ValueError('"form" is neither "jwe" nor "block"')
    if form == 'block' and (header is not None or iat):
        raise ValueError('a block has no header')
    if form == 'jwe' and label is not None:
        raise ValueError('a JWE has no label')
    if label is not None and not isinstance(label, bytes):
        raise TypeError('a label is bytes')
    if header is None:
        return
    if not isinstance(header, Mapping):
        raise TypeError('"header" is not a mapping')
    for name in header:
        if not isinstance(name, str):
            raise TypeError('the names of a header are str')
        if name in RESERVED or (iat and name == 'iat'):
            raise ValueError(f'"{name}" is set by the client')
