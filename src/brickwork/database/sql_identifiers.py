"""Identifiers in SQL text."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(
    r"""
      (?P<other> --[^\n]* | /\*.*?\*/                          # comments
        | [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*'            # strings
        | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | "(?P<quoted> (?:[^"]|"")* )"
    | `(?P<ticked> (?:[^`]|``)* )`
    | (?P<bare> [^\W\d][\w$]* )
    | (?P<mark> :: | \d[\w.]* | \S )
    """,
    re.DOTALL | re.VERBOSE,
)


class Token(NamedTuple):
    """A name or a mark in SQL text."""

    text: str
    is_name: bool

    def is_word(self, word: str) -> bool:
        """Tell whether this is *word*, in capital or small letters."""
        return self.text.upper() == word


_END: Final = Token("", is_name=False)
_OPEN: Final = Token("(", is_name=False)
_CLOSE: Final = Token(")", is_name=False)


def column_identifiers(sql: str) -> list[str]:
    """Return the names in an expression of *sql* that may be columns, without quotes.

    Functions, types, collations, qualifiers and strings are left out.
    """
    tokens = [_END, *tokenize(sql), _END]
    around = zip(tokens, tokens[1:], tokens[2:], strict=False)
    return [own.text for before, own, after in around if own.is_name and _may_be(before, after)]


def tokens_to_sql(tokens: Iterable[Token]) -> str:
    """Return *tokens* as SQL, with every name in quotes."""
    return " ".join(quote_identifiers(each.text) if each.is_name else each.text for each in tokens)


def quote_identifiers(*names: str) -> str:
    """Return *names* as they stand in SQL."""
    return ", ".join('"{}"'.format(name.replace('"', '""')) for name in names)


def _may_be(before: Token, after: Token) -> bool:
    return after.text not in {"(", "."} and before.text.upper() not in {"::", ":", "AS", "COLLATE"}


def tokenize(sql: str) -> list[Token]:
    """Return the names and the marks of *sql*, without comments and strings."""
    return [*_tokens(sql)]


def _tokens(sql: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(sql):
        if (quoted := match["quoted"]) is not None:
            yield Token(quoted.replace('""', '"'), is_name=True)
        elif (ticked := match["ticked"]) is not None:
            yield Token(ticked.replace("``", "`"), is_name=True)
        elif match["bare"] or match["mark"]:
            yield Token(match[0], is_name=bool(match["bare"]))


def parenthesised_tokens(tokens: Sequence[Token]) -> list[Token]:
    """Return what is inside the first pair of parentheses in *tokens*."""
    depth, found = 0, list[Token]()
    for each in tokens:
        depth -= each == _CLOSE
        if depth > 0:
            found.append(each)
        elif found:
            break
        depth += each == _OPEN
    return found
