"""The pages of the site."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = PurePosixPath("docs")
DECISIONS: Final = DOCS / "decisions"
IMAGES: Final = DOCS / "images"
INDEX: Final = "index.md"

Entry: TypeAlias = "str | list[Entry] | dict[str, Entry]"
"""A part of the navigation: a path, some entries, or a title with an entry."""

_LINK: Final = re.compile(r"(\]\()([^)\s]+)(\))")
_FENCED: Final = re.compile(r"(^ *(`{3,}).*?^ *\2)", re.MULTILINE | re.DOTALL)
_API: Final = re.compile(r"^<!-- api: (\S+) -->$", re.MULTILINE)
_COMMENT: Final = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)
_SHOWN: Final = {".py", ".md", ".toml", ".ts", ".json", ".mako", ".ini", ".txt", ".importlinter"}
_LANGUAGES: Final = {".ts": "typescript", ".md": "markdown", ".importlinter": "ini", ".txt": "text"}
_NOT_SEARCHED: Final = "---\nsearch:\n  exclude: true\n---\n\n"


def site_pages(root: Path = ROOT) -> Mapping[PurePosixPath, str]:
    """Return the pages of the site, by their path in the site.

    They are the pages of `docs/`, and everything to which they link: other pages, sources as code,
    and folders as lists. So each link works on the site as it does in the repository.

    Raises:
        FileNotFoundError: A link has no target.

    """
    waiting = sorted(
        PurePosixPath(path.relative_to(root).as_posix()) for path in (root / DOCS).rglob("*.md")
    )
    pages: dict[PurePosixPath, str] = {}
    while waiting:
        source = waiting.pop()
        place = site_path(source, root)
        if place not in pages:
            text = _page_text(source, root)
            waiting += (target for target in _targets(text, source) if target != source)
            pages[place] = _relinked(text, source, root)
    return pages


def site_path(source: PurePosixPath, root: Path = ROOT) -> PurePosixPath:
    """Return the path in the site for the file or folder *source* of the repository."""
    path = root / source
    if not path.exists():
        raise FileNotFoundError(f"{source}: a page links to it, and it does not exist.")
    if path.is_dir():
        place = source / INDEX
    elif source.name == "README.md":
        place = source.with_name(INDEX)
    elif source.parent == IMAGES:
        place = source
    else:
        name = source.name.lstrip(".").removesuffix(".md")  # a hidden page would not be built
        place = source.with_name(f"{name}.md")
    if place.is_relative_to(DOCS):
        return place.relative_to(DOCS)
    return PurePosixPath("source") / place


def navigation(root: Path = ROOT) -> list[Entry]:
    """Return the navigation of the site: the sections and links of `docs/index.md`."""
    index = (root / DOCS / INDEX).read_text()
    sections: list[Entry] = [{"Home": INDEX}]
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        entries: list[Entry] = []
        group = entries
        for line in text.splitlines():
            if heading := re.fullmatch(r"\*\*(.+)\*\*", line):
                group = []
                entries.append({heading[1]: group})
            elif link := re.match(r"- \[[^]]+\]\(([^)#]+)\)", line):
                source = PurePosixPath(os.path.normpath(DOCS / link[1]))
                group.append({_title(source, root): str(site_path(source, root))})
        sections.append({title: entries})
    return sections


def _page_text(source: PurePosixPath, root: Path) -> str:
    path = root / source
    if path.is_dir():
        readme = path / "README.md"
        return readme.read_text() if readme.exists() else "".join(_listing(source, root))
    if source.suffix == ".md":
        # A decision tells how things were before it, which would mislead those who search.
        hidden = _NOT_SEARCHED if source.parent == DECISIONS else ""
        return hidden + path.read_text()
    text = path.read_text().rstrip("\n")
    language = _LANGUAGES.get(source.suffix or source.name, source.suffix.lstrip("."))
    return f"{_NOT_SEARCHED}# {source}\n\n````{language}\n{text}\n````\n"


def _listing(source: PurePosixPath, root: Path) -> Iterator[str]:
    """Yield the lines of a page for a folder: its name, and links to what is in it."""
    title = source.name.capitalize() if source.is_relative_to(DOCS) else source
    yield f"# {title}\n\n"
    for path in sorted((root / source).iterdir()):
        child = source / path.name
        if path.is_dir() and not path.name.startswith((".", "_", "node_modules")):
            yield f"- [{path.name}/]({path.name})\n"
        elif path.suffix in _SHOWN and path.name != "package-lock.json":
            yield f"- [{_title(child, root)}]({path.name})\n"


def _title(source: PurePosixPath, root: Path) -> str:
    if (root / source).is_dir():
        return source.name.capitalize()
    heading = re.search(r"^# (.+)$", (root / source).read_text(), re.MULTILINE)
    return heading[1] if heading and source.suffix == ".md" else source.name


def _targets(text: str, source: PurePosixPath) -> Iterator[PurePosixPath]:
    """Yield the files and folders of the repository to which a page links, without images."""
    for part in _FENCED.split(text)[::3]:
        for link in _LINK.finditer(part):
            if (target := _target(link[2], source)) and target.parent != IMAGES:
                yield target


def _target(link: str, source: PurePosixPath) -> PurePosixPath | None:
    """Return the file or folder to which *link* leads. None: it stays on its page, or leaves."""
    path = link.partition("#")[0]
    if not path or ":" in path:
        return None
    folder = source if source.suffix != ".md" else source.parent
    return PurePosixPath(os.path.normpath(folder / path))


def _relinked(text: str, source: PurePosixPath, root: Path) -> str:
    """Return *text* with the links of the site, the directives of the API, and no comments."""
    place = site_path(source, root)

    def relink(link: re.Match[str]) -> str:
        target = _target(link[2], source)
        if target is None:
            return link[0]
        path = os.path.relpath(site_path(target, root), place.parent)
        anchor = "".join(link[2].partition("#")[1:])
        return f"{link[1]}{path}{anchor}{link[3]}"

    comments = _COMMENT.sub("", _API.sub(r"::: brickwork.\1", text))
    parts = _FENCED.split(comments)
    return "".join(
        _LINK.sub(relink, prose) + fence
        for prose, fence in zip(parts[::3], [*parts[1::3], ""], strict=True)
    )


def settings(root: Path = ROOT) -> str:
    """Return the settings of the site for zensical, with the navigation."""
    template = (Path(__file__).parent / "zensical.toml").read_text()
    sections = ",\n".join(f"  {_inline(section)}" for section in navigation(root))
    return template.replace('"SOURCES"', json.dumps(str(root / "src"))).replace(
        "nav = []", f"nav = [\n{sections}\n]"
    )


def _inline(entry: Entry) -> str:
    """Return *entry* as TOML in one line."""
    match entry:
        case dict():
            pairs = [f"{json.dumps(title)} = {_inline(part)}" for title, part in entry.items()]
            return f"{{ {', '.join(pairs)} }}"
        case list():
            return f"[{', '.join(map(_inline, entry))}]"
        case _:
            return json.dumps(entry, ensure_ascii=False)
