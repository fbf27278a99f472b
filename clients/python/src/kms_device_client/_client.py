"""The client of a device: a cached key, its renewal, and the retry."""
from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Callable, Mapping, NamedTuple, Optional, TypeVar, Union

from ._encrypt import EncryptedMessage, check_arguments, encrypt_block, encrypt_jwe, to_bytes
from ._errors import KeyRefused
from ._key import Key, Wanted, read_key

T = TypeVar('T')
Secret = Union[str, bytes]

# The server says with these that another key is needed (docs/reference/errors.md).
NEEDS_ANOTHER_KEY = ('KM003', 'KM004')
NOT_FOUND = 'KM002'


class _Moment(NamedTuple):
    monotonic: float
    wall: float


class _SystemClock:
    def read(self) -> _Moment:
        return _Moment(time.monotonic(), time.time())


@dataclass
class _HeldKey:
    """A key, and when it was fetched by our clocks.  Times are in seconds."""

    key: Key
    clock: Any
    began: _Moment
    retry: float
    # The argument of on_key, until that was called.
    unsaved: Optional[dict[str, Any]] = None

    def __post_init__(self) -> None:
        key = self.key
        # The server read its clock at some moment of the fetch.
        self.took = 0.0
        if key.server_time is not None:
            self.took = self.clock.read().monotonic - self.began.monotonic
        # Without the server's time we have only our own, which may be wrong.
        self.fetched_at = self.began.wall if key.server_time is None else key.server_time
        self.expires_after = key.expires_at - self.fetched_at
        # A clock that is ahead must not make a new key look expired, or each
        # secret would fetch a key.
        if key.server_time is None:
            self.expires_after = max(self.expires_after, self.retry)
        self.renews_after = max(key.renew_at - self.fetched_at, self.retry)

    @property
    def age(self) -> float:
        """How long the key has been held.  The monotonic clock stands still while the machine
        sleeps, and the other one may be set back."""
        now: _Moment = self.clock.read()
        return max(now.monotonic - self.began.monotonic, now.wall - self.began.wall)

    @property
    def is_usable(self) -> bool:
        return self.age < self.expires_after

    @property
    def is_due(self) -> bool:
        """Not before renew_at by the server's clock, or it would return the same key."""
        return self.age - self.took >= self.renews_after

    @property
    def now(self) -> float:
        """The server's time, as far as we know it, and rather late than early."""
        if self.key.server_time is None:
            wall: float = self.clock.read().wall
            return wall
        return self.fetched_at + self.age - self.took


class DeviceClient:
    """Encrypts secrets for the key of a device.  Threads may share a client.

    fetch_key: asks the application's backend for the key; returns the columns of kms_issue_key.
    algorithm, oaep_hash, mgf1_hash: properties that the key must have.
    form: that of calls that name none, "jwe" or "block".
    saved_key: a key that on_key got before a restart.
    on_key: called with each key that was fetched, to save it, by a call that is about to use it.
    on_renewal_error: called if the next key could not be had, but the old one has not expired.
    sqlstate_of: returns the SQLSTATE of an exception of "submit".
    retry_seconds: from one attempt to renew a key to the next.
    """

    def __init__(self, fetch_key: Callable[[Wanted], Mapping[str, Any]], *,
                 algorithm: Optional[str] = None, oaep_hash: Optional[str] = None,
                 mgf1_hash: Optional[str] = None, form: str = 'jwe',
                 saved_key: Optional[Mapping[str, Any]] = None,
                 on_key: Optional[Callable[[dict[str, Any]], object]] = None,
                 on_renewal_error: Optional[Callable[[Exception], object]] = None,
                 sqlstate_of: Optional[Callable[[BaseException], Optional[str]]] = None,
                 retry_seconds: float = 60, _clock: Any = None) -> None:
        if not callable(fetch_key):
            raise TypeError('"fetch_key" is not a function')
        check_arguments(form, None, False, None)
        if not retry_seconds >= 0:
            raise ValueError('"retry_seconds" is not a number from 0 on')
        self._fetch_key = fetch_key
        self._wanted = Wanted(algorithm, oaep_hash, mgf1_hash)
        self._form = form
        self._on_key = on_key
        self._on_renewal_error = on_renewal_error
        self._sqlstate_of = sqlstate_of or _sqlstate_of
        self._retry = retry_seconds
        self._clock = _clock or _SystemClock()
        # One on_key at a time; it may itself fetch a key.
        self._saving = threading.RLock()
        # Guards the two below, and is never held during a fetch.
        self._lock = threading.Lock()
        self._held: Optional[_HeldKey] = None
        self._flight: Optional[Future[_HeldKey]] = None
        if saved_key is not None:
            self._restore(saved_key)

    def encrypt(self, secret: Secret, *, form: Optional[str] = None,
                header: Optional[Mapping[str, Any]] = None, iat: bool = False,
                label: Optional[bytes] = None) -> EncryptedMessage:
        """Encrypt a secret; a str as UTF-8.

        header: more parameters of the protected header of a JWE, such as a purpose.
        iat: add the server's time to the header, in seconds since 1970.
        label: the label of a block.
        """
        return self._encryption(secret, form, header, iat, label)(self._usable_key)[1]

    def send(self, secret: Secret, submit: Callable[[EncryptedMessage], T], *,
             form: Optional[str] = None, header: Optional[Mapping[str, Any]] = None,
             iat: bool = False, label: Optional[bytes] = None) -> T:
        """Encrypt a secret, and let "submit" send it.  If the server answers that the key has
        expired (KM003) or is disabled or revoked (KM004), ask for another key and do it once more.
        """
        encrypt = self._encryption(secret, form, header, iat, label)
        held, message = encrypt(self._usable_key)
        try:
            return submit(message)
        except Exception as error:
            sqlstate = self._sqlstate_of(error)
            if sqlstate == NOT_FOUND:
                self.forget(message.key_id)
            if sqlstate not in NEEDS_ANOTHER_KEY:
                raise
            other = self._replace(held)
            # The server would refuse the same key again.
            if other.key.key_id == message.key_id:
                raise
        message = encrypt(lambda: other)[1]
        try:
            return submit(message)
        except Exception as error:
            if self._sqlstate_of(error) in (NOT_FOUND, *NEEDS_ANOTHER_KEY):
                self.forget(message.key_id)
            raise

    def forget(self, key_id: Optional[str] = None) -> None:
        """Forget the key, or only the key with this id: the next call fetches one."""
        with self._lock:
            if key_id is None or (self._held and self._held.key.key_id == key_id):
                self._held = None

    def _encryption(self, secret: Secret, form: Optional[str],
                    header: Optional[Mapping[str, Any]], iat: bool, label: Optional[bytes]
                    ) -> Callable[[Callable[[], _HeldKey]], tuple[_HeldKey, EncryptedMessage]]:
        chosen = self._form if form is None else form
        check_arguments(chosen, header, iat, label)
        data = to_bytes(secret)

        def encrypt(get_key: Callable[[], _HeldKey]) -> tuple[_HeldKey, EncryptedMessage]:
            held = get_key()
            self._save(held)
            if chosen == 'block':
                ciphertext = encrypt_block(held.key, data, label)
            else:
                extra = {**(header or {}), **({'iat': int(held.now)} if iat else {})}
                ciphertext = encrypt_jwe(held.key, data, extra)
            return held, EncryptedMessage(held.key.key_id, chosen, ciphertext)
        return encrypt

    def _usable_key(self) -> _HeldKey:
        """From renew_at on, one caller asks for the next key, and the others go on with the old
        one, as that caller does if it gets none."""
        with self._lock:
            held = self._held
            usable = held is not None and held.is_usable
            if held is not None and usable:
                if not held.is_due or self._flight is not None:
                    return held
                held.renews_after = held.age + self._retry
        if not usable:
            return self._fetch(held)
        try:
            return self._fetch(held)
        except Exception as error:
            with self._lock:
                held = self._held
            # In the meantime it may have expired or been refused.
            if held is None or not held.is_usable:
                raise
            if self._on_renewal_error is not None:
                self._on_renewal_error(error)
            return held

    def _replace(self, refused: _HeldKey) -> _HeldKey:
        """Return another key than one that the server refused."""
        key_id = refused.key.key_id
        self.forget(key_id)
        with self._lock:
            flight = self._flight
        if flight is not None:
            # That fetch may have begun before the key was refused.
            flight.exception()
            self.forget(key_id)
        return self._fetch(None)

    def _fetch(self, old: Optional[_HeldKey]) -> _HeldKey:
        """Return another key than the old one.  Callers that come while a fetch is under way share
        it, and a caller that comes too late for that takes what it got."""
        with self._lock:
            held, flight = self._held, self._flight
            if flight is None:
                if held is not None and held is not old and held.is_usable:
                    return held
                ours: Future[_HeldKey] = Future()
                self._flight = ours
        if flight is not None:
            return flight.result()
        try:
            held = self._fetch_one()
        except BaseException as error:
            with self._lock:
                self._flight = None
            # An interrupt is for this thread only.
            ours.set_exception(error if isinstance(error, Exception)
                               else RuntimeError('the fetch of the key was interrupted'))
            raise
        with self._lock:
            self._held = held
            self._flight = None
        ours.set_result(held)
        return held

    def _fetch_one(self) -> _HeldKey:
        began = self._clock.read()
        row = self._fetch_key(self._wanted)
        key = read_key(row, self._wanted)
        # By the time of a next start, server_time would be old.
        unsaved = {name: value for name, value in row.items() if name != 'server_time'}
        return _HeldKey(key, self._clock, began, self._retry, unsaved)

    def _save(self, held: _HeldKey) -> None:
        """Let on_key save a new key.  The fetch is over by then, so that on_key may use the client,
        and its exception is not one of the fetch."""
        if held.unsaved is None:
            return
        with self._saving:
            row, held.unsaved = held.unsaved, None
            if row is not None and self._on_key is not None:
                self._on_key(row)

    def _restore(self, row: Mapping[str, Any]) -> None:
        """A saved key that is not valid, or not by our clock, is like none."""
        try:
            key = read_key({**row, 'server_time': None}, self._wanted)
        except Exception:
            return
        self._held = _HeldKey(key, self._clock, self._clock.read(), 0)


def _sqlstate_of(error: BaseException) -> Optional[str]:
    """psycopg has the SQLSTATE in "sqlstate", psycopg2 in "pgcode"; SQLAlchemy has their exception
    in "orig", others raise from it."""
    found: Optional[BaseException] = error
    for _ in range(8):
        if found is None:
            break
        for name in ('sqlstate', 'pgcode'):
            value = getattr(found, name, None)
            if isinstance(value, str):
                return value
        orig = getattr(found, 'orig', None)
        found = orig if isinstance(orig, BaseException) else found.__cause__
    return None
