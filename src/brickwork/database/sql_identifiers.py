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
        """Return whether this is *word*, ignoring case."""
        return self.text.upper() == word


_END: Final = Token("", is_name=False)
_OPEN: Final = Token("(", is_name=False)
_CLOSE: Final = Token(")", is_name=False)


def column_identifiers(sql: str) -> list[str]:
    """Return the unquoted names in the expression *sql* that may be columns.

    The result excludes functions, types, collations, qualifiers and strings.
    """
    tokens = [_END, *tokenize(sql), _END]
    windows = zip(tokens, tokens[1:], tokens[2:], strict=False)
    return [
        token.text
        for before, token, after in windows
        if token.is_name and _may_be_column(before, after)
    ]


def tokens_to_sql(tokens: Iterable[Token]) -> str:
    """Return *tokens* as SQL, with every name in quotes."""
    return " ".join(
        quote_identifiers(token.text) if token.is_name else token.text for token in tokens
    )


def quote_identifiers(*names: str) -> str:
    """Return *names* in quotes, separated by commas."""
    return ", ".join('"{}"'.format(name.replace('"', '""')) for name in names)


def _may_be_column(before: Token, after: Token) -> bool:
    return after.text not in {"(", "."} and before.text.upper() not in {"::", ":", "AS", "COLLATE"}


def tokenize(sql: str) -> list[Token]:
    """Return the names and the marks of *sql*, without comments and strings."""
    return [*_iter_tokens(sql)]


def _iter_tokens(sql: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(sql):
        if (quoted := match["quoted"]) is not None:
            yield Token(quoted.replace('""', '"'), is_name=True)
        elif (ticked := match["ticked"]) is not None:
            yield Token(ticked.replace("``", "`"), is_name=True)
        elif match["bare"] or match["mark"]:
            yield Token(match[0], is_name=bool(match["bare"]))


def parenthesised_tokens(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens inside the first pair of parentheses."""
    depth, inner = 0, list[Token]()
    for token in tokens:
        depth -= token == _CLOSE
        if depth > 0:
            inner.append(token)
        elif inner:
            break
        depth += token == _OPEN
    return inner
