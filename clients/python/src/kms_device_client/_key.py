"""Judge the keys that a backend returns."""
from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Mapping, Optional, Union

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519

from ._errors import InvalidKey

PublicKey = Union[rsa.RSAPublicKey, ec.EllipticCurvePublicKey, x25519.X25519PublicKey]

RSA_BITS = {'RSA-2048': 2048, 'RSA-3072': 3072, 'RSA-4096': 4096}
DIGESTS: dict[str, hashes.HashAlgorithm] = {
    'sha1': hashes.SHA1(), 'sha224': hashes.SHA224(), 'sha256': hashes.SHA256(),
    'sha384': hashes.SHA384(), 'sha512': hashes.SHA512(), 'sha512-224': hashes.SHA512_224(),
    'sha512-256': hashes.SHA512_256()}
# The pairs of equal digests that have a registered name (RFC 7518, 4.1).
OAEP_DIGESTS = {'RSA-OAEP': 'sha1', 'RSA-OAEP-256': 'sha256', 'RSA-OAEP-384': 'sha384',
                'RSA-OAEP-512': 'sha512'}
OAEP_ALGS = {digest: alg for alg, digest in OAEP_DIGESTS.items()}

_KEY_ID = re.compile(r'[A-Za-z0-9_.\-/+=:{}#@]{1,128}')
_PEM = re.compile(r'-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PUBLIC KEY-----\s*')
_TIME = re.compile(r'(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d(?::?\d\d)?)')
_BASE64URL = re.compile(r'[A-Za-z0-9_-]+')


@dataclass(frozen=True)
class Wanted:
    """The properties that a key must have.  None stands for any value."""

    algorithm: Optional[str] = None
    oaep_hash: Optional[str] = None
    mgf1_hash: Optional[str] = None


@dataclass(frozen=True)
class Key:
    key_id: str
    public_key: PublicKey
    algorithm: str
    oaep_hash: Optional[str]
    mgf1_hash: Optional[str]
    alg: str
    # Seconds since 1970.
    renew_at: float
    expires_at: float
    server_time: Optional[float]


def read_key(row: Any, wanted: Wanted) -> Key:
    """Judge what "fetch_key" returned: the columns of kms_issue_key, perhaps with "jwk" for or
    beside "public_key", and "server_time"."""
    if not isinstance(row, Mapping):
        raise InvalidKey('the key is not a mapping with the columns of kms_issue_key')
    key_id = _text(row, 'key_id')
    if not _KEY_ID.fullmatch(key_id):
        raise InvalidKey('"key_id" is not a key id of kms')
    jwk = row.get('jwk')
    from_pem = None if row.get('public_key') is None else _read_pem(_text(row, 'public_key'))
    from_jwk = None if jwk is None else _read_jwk(jwk, key_id)
    if from_pem is not None and from_jwk is not None and _spki(from_pem) != _spki(from_jwk):
        raise InvalidKey('"public_key" and "jwk" are two different keys')
    public_key = from_jwk if from_pem is None else from_pem
    if public_key is None:
        raise InvalidKey('the key has neither "public_key" nor "jwk"')

    algorithm = _algorithm_of(public_key)
    named = row.get('algorithm_used')
    if named != algorithm and not (named is None and from_jwk is not None):
        raise InvalidKey(f'"algorithm_used" does not name the algorithm of the key, {algorithm}')
    oaep_hash, mgf1_hash, alg = _digests_of(row, algorithm)
    key = Key(key_id, public_key, algorithm, oaep_hash, mgf1_hash, alg, _time(row, 'renew_at'),
              _time(row, 'expires_at'),
              None if row.get('server_time') is None else _time(row, 'server_time'))
    for name in ('algorithm', 'oaep_hash', 'mgf1_hash'):
        asked, found = getattr(wanted, name), getattr(key, name)
        if asked is not None and asked != found:
            raise InvalidKey(f'the key has {name} {found or "unknown"}, but {asked} was asked for')
    return key


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise InvalidKey(f'"{name}" of the key is not a str')
    return value


def _time(row: Mapping[str, Any], name: str) -> float:
    """Return seconds since 1970, of a datetime or of what PostgreSQL writes."""
    value = row.get(name)
    moment = None
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str):
        found = _TIME.fullmatch(value)
        if found:
            date, clock, fraction, zone = found.groups()
            if zone == 'Z':
                zone = '+00:00'
            zone = f'{zone[:3]}:{zone[3:].replace(":", "") or "00"}'
            micros = (fraction or '.0')[1:7].ljust(6, '0')
            try:
                moment = datetime.fromisoformat(f'{date}T{clock}.{micros}{zone}')
            except ValueError:
                moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidKey(f'"{name}" of the key is not a time with its zone')
    return moment.astimezone(timezone.utc).timestamp()


def _read_pem(pem: str) -> PublicKey:
    found = _PEM.fullmatch(pem)
    if not found:
        raise InvalidKey('"public_key" is not one public key in PEM (SPKI)')
    key = None
    try:
        key = serialization.load_pem_public_key(pem.encode('ascii'))
        der = base64.b64decode(found.group(1))
    except (ValueError, UnsupportedAlgorithm, binascii.Error):
        pass
    if key is None:
        raise InvalidKey('"public_key" is not a valid public key')
    if not isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey, x25519.X25519PublicKey)):
        raise InvalidKey('kms has no keys of this type or curve')
    # One encoding per key: no explicit curve, no RSASSA-PSS, nothing behind it.
    if _spki(key) != der:
        raise InvalidKey('"public_key" is not in the form in which kms issues keys')
    return key


def _read_jwk(jwk: Any, key_id: str) -> PublicKey:
    if not isinstance(jwk, Mapping):
        raise InvalidKey('"jwk" is not a mapping')
    if 'd' in jwk or 'k' in jwk:
        raise InvalidKey('"jwk" is a secret key')
    if jwk.get('kid', key_id) != key_id:
        raise InvalidKey('"kid" of the JWK is not the key id')
    if jwk.get('use', 'enc') != 'enc':
        raise InvalidKey('"use" of the JWK is not "enc"')
    kind = (jwk.get('kty'), jwk.get('crv') if jwk.get('kty') != 'RSA' else None)
    key: Optional[PublicKey] = None
    try:
        if kind == ('RSA', None):
            key = rsa.RSAPublicNumbers(e=_number(jwk, 'e'), n=_number(jwk, 'n')).public_key()
        elif kind == ('EC', 'P-256'):
            key = ec.EllipticCurvePublicNumbers(
                int.from_bytes(_part(jwk, 'x', 32), 'big'), int.from_bytes(_part(jwk, 'y', 32), 'big'),
                ec.SECP256R1()).public_key()
        elif kind == ('OKP', 'X25519'):
            key = x25519.X25519PublicKey.from_public_bytes(_part(jwk, 'x', 32))
        else:
            raise InvalidKey('kms has no keys of this type or curve')
    except (ValueError, UnsupportedAlgorithm):
        pass
    if key is None:
        raise InvalidKey('"jwk" is not a valid public key')
    return key


def _part(jwk: Mapping[str, Any], name: str, size: Optional[int] = None) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str) or not _BASE64URL.fullmatch(value) or len(value) % 4 == 1:
        raise InvalidKey(f'"{name}" of the JWK is not base64url')
    part = base64.urlsafe_b64decode(value + '=' * (-len(value) % 4))
    if size is not None and len(part) != size:
        raise InvalidKey(f'"{name}" of the JWK does not have {size} bytes')
    return part


def _number(jwk: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(_part(jwk, name), 'big')


def _spki(key: PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER,
                            serialization.PublicFormat.SubjectPublicKeyInfo)


def _algorithm_of(key: PublicKey) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        for name, bits in RSA_BITS.items():
            if key.key_size == bits:
                # Imported keys may have another exponent than 65537.
                exponent = key.public_numbers().e
                if exponent < 3 or exponent % 2 == 0:
                    raise InvalidKey('the public exponent of the key is not valid')
                return name
        raise InvalidKey(f'the key has {key.key_size} bits, and kms has no such keys')
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return 'EC-P256'
    if isinstance(key, x25519.X25519PublicKey):
        return 'X25519'
    raise InvalidKey('kms has no keys of this type or curve')


def _digests_of(row: Mapping[str, Any],
                algorithm: str) -> tuple[Optional[str], Optional[str], str]:
    """Return the digests of the key, and the alg of a JWE, which kms_jwk would name."""
    jwk = row.get('jwk')
    named = None if jwk is None else jwk.get('alg')
    oaep_hash, mgf1_hash = row.get('oaep_hash_used'), row.get('mgf1_hash_used')

    if algorithm not in RSA_BITS:
        if oaep_hash not in (None, 'none') or mgf1_hash not in (None, 'none'):
            raise InvalidKey(f'a key of {algorithm} has no digests')
        if named not in (None, 'ECDH-ES'):
            raise InvalidKey('"alg" of the JWK does not fit the key')
        return 'none', 'none', 'ECDH-ES'
    if named is not None and (not isinstance(named, str) or named not in OAEP_DIGESTS):
        raise InvalidKey('"alg" of the JWK does not fit the key')
    if oaep_hash is None and mgf1_hash is None and jwk is not None:
        digest = OAEP_DIGESTS.get(named) if named else None
        return digest, digest, named or 'RSA-OAEP-256'
    if not all(isinstance(name, str) and name in DIGESTS for name in (oaep_hash, mgf1_hash)):
        raise InvalidKey('"oaep_hash_used" or "mgf1_hash_used" of the key is not a digest of kms')
    registered = OAEP_ALGS.get(str(oaep_hash)) if oaep_hash == mgf1_hash else None
    if named is not None and named != registered:
        raise InvalidKey('"alg" of the JWK does not name the digests of the key')
    return oaep_hash, mgf1_hash, registered or 'RSA-OAEP-256'
