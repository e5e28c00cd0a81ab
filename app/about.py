"""The texts of the documentation."""

from typing import Final

TITLE: Final = "Brickwork"
VERSION: Final = "0.1.0"
DESCRIPTION: Final = (
    "The reference service of Brickwork. Each error is a problem document (RFC 9457), and its type "
    "is the address of an explanation. The Link header of a list has the address of the next page."
)
