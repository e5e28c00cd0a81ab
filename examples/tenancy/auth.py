"""Authentication: who sends a request."""

from dataclasses import dataclass
from os import environ
from typing import Annotated, get_args
from uuid import UUID

from fastapi import Depends, Request, Security

from app.tokens import BEARER, SharedSecret, TokenVerifier, bearer_token, invalid_token
from brickwork import Forbidden

from .models import Role

SECRET = environ.get("JWT_SECRET", "a secret for development, and for nothing else")
KEYS = SharedSecret(SECRET)
VERIFIER = TokenVerifier(KEYS)


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
    claims = {"sub": str(caller.user_id), "tenant": str(caller.tenant_id), "role": caller.role}
    return KEYS.sign(claims)


async def current_caller(request: Request, _: Annotated[object, Security(BEARER)]) -> Caller:
    """Return the caller that the token names. Raises `Unauthorized`."""
    claims = await VERIFIER.verify(bearer_token(request))
    try:
        tenant_id, role = UUID(claims["tenant"]), claims["role"]
        if role not in get_args(Role):
            raise invalid_token()
        return Caller(UUID(claims["sub"]), tenant_id, role)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise invalid_token() from error


CurrentCaller = Annotated[Caller, Depends(current_caller)]
