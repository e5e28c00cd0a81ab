"""Hostile queries: values of one parameter, queries of a list.

They are percent-encoded, since most of them are no valid text. The flag beside a query says whether
the service must reject it.
"""

from base64 import urlsafe_b64encode
from typing import Final

from tests.support.bodies import MARKER

DIGITS: Final = "8273645"
"""The digits of long numbers, which no problem may repeat."""

UUID: Final = "01890000-0000-7000-8000-00000000abcd"
"""The id of no row."""

MANY: Final = (
    "",
    "%20",
    "0",
    "-0",
    "-1",
    "%2B1",
    "+1",
    "1.0",
    "1e2",
    "1e999",
    "0x10",
    "1_0",
    "01",
    "0" * 30 + "1",
    "NaN",
    "Infinity",
    "true",
    "True",
    "yes",
    "null",
    "[]",
    "[1]",
    "1,2",
    "%00",
    "1%00",
    "%FF",
    "%ED%A0%80",
    "%C0%80",
    "%",
    "%zz",
    "%u0041",
    "%D9%A1",
    "%EF%BC%91",
    "%F0%9F%98%80",
    "%E2%80%A8",
    "%EF%BB%BF1",
    "%0D%0ASet-Cookie:%20a=b",
    "%27%20OR%201=1--",
    f"{MARKER}%27;DROP%20TABLE%20articles;--",
    "%25%25_%5C",
    f"%3Cscript%3E{MARKER}",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    DIGITS * 60,
    DIGITS * 720,
    "a" * 5_000,
    "2026-02-03T04:05:06",
    "0000-01-01T00:00:00Z",
    UUID,
    f"%7B{UUID}%7D",
)
"""Values for a parameter of a new kind."""

SOME: Final = (
    "",
    "1",
    "%00",
    "%ED%A0%80",
    "%F0%9F%98%80",
    "%25%25_%5C",
    f"{MARKER}%27;DROP%20TABLE%20articles;--",
    "NaN",
    "9223372036854775807",
    "-9223372036854775809",
    "1e-400",
    "%C4%B0%C5%BF%CF%82",
    "a" * 5_000,
    "2026-02-03T04:05:06Z",
    "9999-12-31T23:59:59.9999999-00:01",
    UUID.upper(),
    "draft",
)
"""Values for a parameter of a known kind, with a new operator."""

FEW: Final = ("", "%F0%9F%98%80%27")
"""Values for a parameter of a known kind and operator."""

ALONE: Final = {"limit", "offset", "cursor", "count", "sort", "q", "allow_missing"}
"""Parameters with special parsers."""

OF_ANY: Final = (
    ("zzz=1", True),
    ("foo", True),
    ("=1", True),
    ("%00=1", True),
    ("%FF=1", True),
    ("%F0%9F%98%80=1", True),
    ("__proto__[a]=1", True),
    ("%0D%0Aa:b=1", True),
    ("self=1&request=1&rows=1&at=1&data=1", True),
    ("%3F=1", True),
    ("id=1", True),
    ("k" * 8_000 + "=1", True),
    ("&".join(f"p{number}" for number in range(1_000)), True),
    ("a" * 9_000, True),
    ("?", True),
    ("&;&", True),
    ("&&", False),
)
"""Queries for every operation."""


def _cursor(document: str, mac: bytes = bytes(16)) -> str:
    return urlsafe_b64encode(document.encode() + mac).rstrip(b"=").decode()


_CURSORS: Final = (
    *("W10", "AAAA", "A", "=", "====", "W2ZhbHNlLG51bGxd", "W2ZhbHNlLG51bGxd==", "a+b/", "%00"),
    *("A" * 8_000, "%D9%A1", MARKER, "null", "-1", "."),
    *(_cursor("[false,null]"), _cursor("[true,null]"), _cursor('[false,["' + UUID + '"]]')),
    *(_cursor("[" * 3_000), _cursor(""), _cursor("[false,null]", b""), _cursor("nonsense")),
    *(_cursor("[false,[1e999]]"), _cursor(f"[false,[{DIGITS * 100}]]"), _cursor('[1,"\\ud800"]')),
)
_SORTS: Final = (
    *("-", ",", "title,", ",title", "--title", "%2Btitle", "title%20", "%20title", "Title", "id"),
    *("-id", "author_id", "body", "meta", "updated_at", "title__in", "author__name", "random()"),
    *("title%20DESC", "1", "*", "title;id", "title%00", "title,slug,", ",".join(["title"] * 101)),
)
_UNDECLARED: Final = (
    *("title__eq", "title__like", "title__regex", "title__isnull", "title__iexact", "status__gt"),
    *("body", "body__contains", "meta", "meta__a", "id", "id__in", "id__gt", "updated_at"),
    *("author", "author__name", "author__name__ne", "author__email", "author_id__gt", "author__id"),
    *("views__contains", "views__isnull", "title__icontains__ne", "title__", "__title", "__in"),
    *("title.contains", "title[contains]", "-title", "searched", "sort_keys", "narrow"),
    *("__filters__", "__sorts__", "model_fields", "model_config", "deleted", "purge", "page"),
)
_FIELDS: Final = ("title", "slug", "status", "views", "rating", "published_at", "created_at")

OF_A_LIST: Final = (
    *((f"cursor={cursor}", True) for cursor in _CURSORS),
    *((f"cursor={cursor}&sort=title&limit=0", True) for cursor in _CURSORS[:3]),
    ("cursor=AAAA&offset=0", True),
    ("offset=0&cursor=", True),
    *((f"sort={sort}", True) for sort in _SORTS),
    ("sort=title&sort=views", True),
    ("sort=title,title,-title,-title", False),
    (f"sort={','.join(_FIELDS)}", False),
    (f"sort=-{',-'.join(reversed(_FIELDS))}&limit=1&count=exact", False),
    *((f"{name}=1", True) for name in _UNDECLARED),
    ("limit=100&offset=10000&count=exact&sort=-status,title", False),
    ("count=estimated&views__gte=0", False),
    ("count=exact&count=exact", True),
    ("views__in=" + ",".join(map(str, range(100))), False),
    ("views__in=" + ",".join(map(str, range(101))), True),
    *((f"views__in={value}", True) for value in (",", "1,", ",1", "1,,2", "1;2", "1,a", "1,1.0")),
    *((f"title__in={value}", False) for value in (",", ",,,", "a,", "%2C", "a%0Ab")),
    ("title__in=a,%00", True),
    ("title__in=" + "," * 7_000, True),
    ("q=" + "a" * 200, False),
    ("q=" + "a" * 201, True),
    ("q=" + "+".join("a" * 100), False),
    ("q=%F0%9F%98%80" + "%F0%9F%98%80" * 199, False),
    *((f"q={value}", False) for value in ("", "+", "%09%0A", "%C2%A0", "%E2%80%8B", "%25+_+%5C")),
    *(
        (f"q={value}", False)
        for value in ("%22a%20b%22", "a%20OR%20b", "-a", "*", "%27", "NEAR(a)")
    ),
    (
        "&".join(
            f"title__{operator}=%25_%5C" for operator in ("contains", "icontains", "startswith")
        ),
        False,
    ),
    (
        "&".join(f"views__{operator}=0" for operator in ("ne", "gt", "gte", "lt", "lte", "in")),
        False,
    ),
    ("views__gt=9223372036854775807&views__lt=-9223372036854775808", False),
    ("rating__gt=-1.7976931348623157e308&rating__ne=-0.0&rating__isnull=false", False),
    ("rating=0&rating__isnull=true", False),
    ("published_at__gt=0001-01-01T00:00:00Z&published_at__lt=9999-12-31T23:59:59.999999Z", False),
    ("published_at__in=2026-02-03T04:05:06Z,2026-02-03T04:05:06%2B01:00", False),
    ("published_at__in=2026-02-03T04:05:06Z,2026-02-03", True),
    (f"author_id__in={UUID},{UUID.upper()}", False),
    (f"author_id__in={UUID},{{{UUID}}}", True),
    ("status__in=draft,published,draft", False),
    ("status__in=draft,", True),
)
"""Queries for the list of articles, with several values or parameters."""

OF_LINES: Final = (
    ("", False),
    *((f"{name}=1", True) for name in ("limit", "offset", "cursor", "zzz")),
    *(("count=exact", True), ("limit=", True), ("limit=20", True), ("sort=zzz", True)),
    ("sort=-title&title__ne=%00", True),
    ("sort=-rating,title&rating__isnull=true&q=a", False),
    ("title__icontains=%C4%B0%25", False),
)
"""Queries for the export of the list."""
