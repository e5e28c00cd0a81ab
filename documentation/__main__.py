"""`python -m documentation`: builds the site in build/docs."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from documentation.pages import IMAGES, ROOT, settings, site_pages

BUILD: Final = ROOT / "build"


def main() -> None:
    """Write the pages, and let zensical build them."""
    for folder in ("pages", "docs"):
        shutil.rmtree(BUILD / folder, ignore_errors=True)
    for path, text in site_pages().items():
        page = BUILD / "pages" / path
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text)
    shutil.copytree(ROOT / IMAGES, BUILD / "pages" / IMAGES.name)
    script = BUILD / "pages" / "assets" / "iframe-worker.js"
    script.parent.mkdir()
    shutil.copyfile(Path(__file__).parent / script.name, script)
    configuration = BUILD / "zensical.toml"
    configuration.write_text(settings())
    command = (sys.executable, "-m", "zensical", "build", "--strict", "--config-file")
    sys.exit(subprocess.call((*command, configuration)))  # noqa: S603 — our own settings


if __name__ == "__main__":
    main()
