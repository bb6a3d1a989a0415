"""What the metadata takes from the address of the repository, which stands in pyproject.toml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

# The end of a link or picture in Markdown: "](path)" or "](path#section)".
TARGET = re.compile(r"\]\(([^()\s#]+)((?:#[^()\s]*)?)\)")


class AddressOfTheRepository(MetadataHookInterface):
    """Adds the README and, where there is an address, the URLs.

    A package index shows the README without the files beside it, so that what it links to there,
    pictures among it, is linked to in the repository.
    """

    def update(self, metadata: dict[str, Any]) -> None:
        """Add ``readme`` and ``urls``."""
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        if self.config["repository"]:
            readme = TARGET.sub(self._absolute, readme)
            metadata["urls"] = {
                "Source": self.config["repository"],
                "Issues": f"{self.config['repository']}/issues",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": readme}

    def _absolute(self, target: re.Match[str]) -> str:
        path, section = target.groups()
        if not (Path(self.root) / path).exists():  # another site; or code, such as policies[0](sgd)
            return target[0]
        kind = "raw" if path.endswith((".png", ".svg")) else "blob"
        return f"]({self.config['repository']}/{kind}/HEAD/{path}{section})"
