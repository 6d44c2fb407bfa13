"""What a file system says, as Vecferry's errors: by type and errno."""

import contextlib
import errno
from collections.abc import Iterator

from vecferry.errors import ConfigError, TransientError

_WRONG = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG})
"""Trying again helps with none of these."""


@contextlib.contextmanager
def translate_errors(path: str) -> Iterator[None]:
    """Raise a file system's errors as Vecferry's; a missing file is the caller's to tell.

    Raises:
        ConfigError: The rights or the path are wrong.
        TransientError: Anything else: a full disk, a store of objects that does not answer.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        told = error.strerror or type(error).__name__
        if error.errno in _WRONG or isinstance(error, PermissionError):
            raise ConfigError(f"{path} cannot be used: {told}") from error
        raise TransientError(f"{path} could not be read or written: {told}") from error
