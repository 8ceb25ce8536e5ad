"""What can go wrong with a request to Palette: one exception type, one subclass for each thing a person would do.

No exception carries a request's headers or body: the key and the passwords of a profile stay out of reports.
"""

from __future__ import annotations

from typing import ClassVar


class PaletteError(Exception):
    """Palette refused a request, failed at it, or could not be asked.

    ``code`` and ``message`` are Palette's own words (its error envelope) where it gave any, ``ref`` is the reference
    its support asks for, ``status`` is None when there was no answer. ``outcome_unknown`` is true when the request
    may have been carried out although no answer says so.
    """

    advice: ClassVar[str] = "Read Palette's message; the request itself was refused."
    is_infrastructure: ClassVar[bool] = False

    def __init__(
        self,
        *,
        method: str,
        path: str,
        message: str,
        code: str = "",
        status: int | None = None,
        ref: str = "",
        outcome_unknown: bool = False,
        retry_after: float | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.message = message
        self.code = code
        self.status = status
        self.ref = ref
        self.outcome_unknown = outcome_unknown
        self.retry_after = retry_after
        super().__init__(method, path, status, code)

    @property
    def request(self) -> str:
        """Method and path, the only parts of a request that are told."""
        return f"{self.method} {self.path}"

    def __str__(self) -> str:
        answer = " ".join(str(part) for part in (self.status or "no answer", self.code) if part)
        ref = f" (ref {self.ref})" if self.ref else ""
        unknown = " The request may have been carried out all the same." if self.outcome_unknown else ""
        words = f"{self.request}: {answer}: {self.message}{ref}. {self.advice}{unknown}"
        # Palette's words may hold line breaks and control codes; in a message they are shown, not obeyed.
        return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in words)


class BadRequestError(PaletteError):
    """400: Palette could not read the request."""

    advice = "Correct the value that Palette names; repeating the request will not help."


class UnauthorizedError(PaletteError):
    """401: the API key or session token is not accepted."""

    advice = "Check that the API key exists, is active and has not expired, and that the URL is that of its tenant."


class ForbiddenError(PaletteError):
    """403: the key is known, its role does not allow this."""

    advice = "Give the key's user a role for this in the project (Edge admin suffices), or name a project it may use."


class NotFoundError(PaletteError):
    """404: no such object in this project or tenant."""

    advice = "Check the uid and the project: an object of another project is answered as not found."


class ConflictError(PaletteError):
    """409: the name and version are taken, or the object is in use or in a state that forbids this."""

    advice = "Choose another name or version, or wait until the object is free."


class InvalidError(PaletteError):
    """422: the request was understood and its content refused."""

    advice = "Correct the content that Palette names."


class RateLimitedError(PaletteError):
    """429, still so after the retry policy was used up."""

    advice = "Something else spends this address' request rate: run fewer processes or lower the share in Limits."
    is_infrastructure = True


class ServerError(PaletteError):
    """5xx: Palette failed."""

    advice = "Look at the status page of the Palette instance; give its support the ref."
    is_infrastructure = True


class UnreachableError(PaletteError):
    """No answer: name, route, port, TLS or a connection that broke."""

    advice = "Check the URL, the way to it (proxy, firewall) and, for TLS, the authority the site file names."
    is_infrastructure = True


class NotPaletteError(PaletteError):
    """An answer that Palette's API does not give: a redirect, a page instead of JSON, paging that never ends."""

    advice = "Check that the URL is that of the API itself and that no portal or proxy answers in its place."
    is_infrastructure = True


#: What says nothing of the product: it was not there to be asked.
INFRASTRUCTURE: tuple[type[PaletteError], ...] = (RateLimitedError, ServerError, UnreachableError, NotPaletteError)


class NeverTouchError(PaletteError):
    """The request would change what the site file says must never be touched; it was not sent."""

    advice = "Remove it from never_touch in the site file if a run may change it."


_BY_STATUS: dict[int, type[PaletteError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: InvalidError,
    429: RateLimitedError,
}
_FIRST_SERVER_ERROR = 500


def error_type(status: int) -> type[PaletteError]:
    """Return the exception class for an HTTP status that is not a success."""
    if status >= _FIRST_SERVER_ERROR:
        return ServerError
    return _BY_STATUS.get(status, PaletteError)
