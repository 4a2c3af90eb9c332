"""The names that pykickstart catches."""


class RequestException(OSError):
    """Never raised here."""


class SSLError(RequestException):
    """Never raised here."""
