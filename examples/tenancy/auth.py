"""Authentication: who sends a request."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from os import environ
from typing import Annotated, get_args
from uuid import UUID

import jwt
from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from brickwork import Forbidden

from .models import Role

SECRET = environ.get("JWT_SECRET", "a secret for development, and for nothing else")


@dataclass(frozen=True)
class Caller:
    """The user who sends a request."""

    user_id: UUID
    tenant_id: UUID
    role: Role

    def require_admin(self) -> None:
        """Raise `Forbidden` unless the caller is an admin."""
        if self.role != "admin":
            raise Forbidden("Only admins may do this.")


def create_token(caller: Caller) -> str:
    """Return a token of *caller*, valid for an hour."""
    claims = {
        "sub": str(caller.user_id),
        "tenant": str(caller.tenant_id),
        "role": caller.role,
        "exp": datetime.now(UTC) + timedelta(hours=1),
    }
    return jwt.encode(claims, SECRET, algorithm="HS256")  # pyright: ignore[reportUnknownMemberType] — of the optional cryptography


async def current_caller(
    credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())],
) -> Caller:
    """Return the caller that the token names. Raises a 401 for an invalid token."""
    try:
        claims = jwt.decode(  # pyright: ignore[reportUnknownMemberType] — as above
            credentials.credentials,
            SECRET,
            algorithms=["HS256"],
            options={"require": ["exp", "sub", "tenant", "role"]},
        )
        if claims["role"] not in get_args(Role):
            raise jwt.InvalidTokenError  # noqa: TRY301 — one answer for every invalid token
        return Caller(UUID(claims["sub"]), UUID(claims["tenant"]), claims["role"])
    except (jwt.InvalidTokenError, ValueError) as error:
        headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        raise HTTPException(401, "The token is not valid.", headers) from error


CurrentCaller = Annotated[Caller, Depends(current_caller)]
