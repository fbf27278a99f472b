"""Errors.  No message contains anything of a secret but its length."""


class InvalidKey(Exception):
    """The backend returned something that is not a key of the kind that was asked for."""


class UnsupportedForm(Exception):
    """The key cannot be used in the form that the caller named."""


class SecretTooLong(Exception):
    """The secret does not fit into a block.  size and limit are in bytes."""

    def __init__(self, size: int, limit: int, what: str) -> None:
        super().__init__(f'the secret has {size} bytes, but a block of this key ({what}) takes'
                         f' {limit}: send it with the form "jwe"')
        self.size = size
        self.limit = limit


class KeyRefused(Exception):
    """To be raised by "submit" if the backend reports an SQLSTATE in a way of its own, such as the
    body of an HTTP response."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(f'the key was refused: {sqlstate}')
        self.sqlstate = sqlstate
