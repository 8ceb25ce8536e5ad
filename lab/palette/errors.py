"""The error envelope of the Palette API, as an exception that an operation raises.

Shape and codes: the vendor's SDK (``v1Error``, ``client/herr``) and release notes. The published description declares
almost no error answers, so the codes that are not on record there are the lab's own and read alike.
"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An answer that is not a success: HTTP status, machine-readable code, sentence for a person, more details."""

    def __init__(self, status: int, code: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details or {}

    def envelope(self, ref: str) -> dict[str, Any]:
        """Return the body of the answer; ``ref`` is the identity of the request."""
        return {"code": self.code, "message": self.message, "details": self.details, "ref": ref}


def invalid(place: str, problem: str, code: str = "InvalidRequest") -> ApiError:
    """400: ``place`` is the field, ``problem`` what is there and what would be right."""
    return ApiError(400, code, f"{place}: {problem}", {"field": place})


def not_found(kind: str, uid: str) -> ApiError:
    """404: there is no such thing in the scope of the request."""
    return ApiError(
        404, "ResourceNotFound", f"{kind} '{uid}' does not exist in the scope of this request", {"kind": kind}
    )


def conflict(code: str, message: str) -> ApiError:
    """409: the request is well-formed, but the state of something forbids it."""
    return ApiError(409, code, message)


def unauthorized(message: str) -> ApiError:
    """401: the request carries no credentials that the endpoint knows."""
    return ApiError(401, "Unauthorized", message)
