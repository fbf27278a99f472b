"""Keys, clocks, and the private half of what the client does."""
import base64
import hashlib
import json
from datetime import datetime, timezone

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kms_device_client._client import _Moment
from kms_device_client._key import DIGESTS

DAY = 86400
START = datetime(2026, 11, 30, 12, tzinfo=timezone.utc).timestamp()
_private = {}


def private_key(algorithm):
    if algorithm not in _private:
        if algorithm.startswith('RSA'):
            key = rsa.generate_private_key(65537, int(algorithm[4:]))
        elif algorithm == 'EC-P256':
            key = ec.generate_private_key(ec.SECP256R1())
        else:
            key = x25519.X25519PrivateKey.generate()
        _private[algorithm] = key
    return _private[algorithm]


def pem(public_key):
    return public_key.public_bytes(serialization.Encoding.PEM,
                                   serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def unbase64url(text):
    return base64.urlsafe_b64decode(text + '=' * (-len(text) % 4))


def jwk(algorithm):
    key = private_key(algorithm).public_key()
    if algorithm.startswith('RSA'):
        numbers = key.public_numbers()
        return {'kty': 'RSA', 'e': 'AQAB', 'n': base64url(numbers.n.to_bytes(key.key_size // 8, 'big'))}
    if algorithm == 'EC-P256':
        numbers = key.public_numbers()
        return {'kty': 'EC', 'crv': 'P-256', 'x': base64url(numbers.x.to_bytes(32, 'big')),
                'y': base64url(numbers.y.to_bytes(32, 'big'))}
    return {'kty': 'OKP', 'crv': 'X25519', 'x': base64url(
        key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))}


def time_of(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat()


def issued(**changes):
    """The row of kms_issue_key, with changes."""
    algorithm = changes.get('algorithm_used') or 'RSA-2048'
    digest = 'sha256' if algorithm.startswith('RSA') else 'none'
    row = {'key_id': 'key_1', 'public_key': pem(private_key(algorithm).public_key()).rstrip(),
           'algorithm_used': algorithm, 'oaep_hash_used': digest, 'mgf1_hash_used': digest,
           'renew_at': time_of(START + 27 * DAY), 'expires_at': time_of(START + 30 * DAY),
           'server_time': time_of(START), 'reused': False}
    row.update(changes)
    return row


class StandingClock:
    """A clock that stands still until it is moved."""

    def __init__(self, wall=START):
        self.time = 1000
        self.offset = wall - 1000

    def read(self):
        return _Moment(self.time, self.time + self.offset)


def open_message(message, algorithm='RSA-2048', digest='sha256', mgf1=None, label=None):
    """An independent reading of RFC 7516 and RFC 7518: return the header and the text."""
    private = private_key(algorithm)

    def unwrap(data, label=None):
        return private.decrypt(data, padding.OAEP(padding.MGF1(DIGESTS[mgf1 or digest]),
                                                  DIGESTS[digest], label))
    if message.form == 'block':
        return None, unwrap(base64.b64decode(message.ciphertext), label).decode()
    parts = message.ciphertext.split('.')
    head, wrapped, iv, body, tag = [unbase64url(part) for part in parts]
    header = json.loads(head)
    epk = header.get('epk')
    if epk is None:
        key = unwrap(wrapped)
    else:
        if epk['kty'] == 'EC':
            point = b'\4' + unbase64url(epk['x']) + unbase64url(epk['y'])
            agreed = private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(
                ec.SECP256R1(), point))
        else:
            agreed = private.exchange(x25519.X25519PublicKey.from_public_bytes(unbase64url(epk['x'])))
        info = b'\0\0\0\7' + header['enc'].encode() + bytes(8) + b'\0\0\1\0'
        key = hashlib.sha256(b'\0\0\0\1' + agreed + info).digest()
    return header, AESGCM(key).decrypt(iv, body + tag, parts[0].encode()).decode()
