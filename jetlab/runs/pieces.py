"""Finished pieces of a store or of a set of files that is not whole yet.

They lie in a folder beside the one they will become, on a file system that all workers
share. Whoever works on them finds what others have finished.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from jetlab.data.atomic import atomic_file, refuse_existing


class Pieces:
    """The folder `OUT.pieces`; `request` says what its files are pieces of.

    Raises:
      ValueError: if `out` exists, or the folder holds pieces of another request.
    """

    def __init__(self, out: Path, request: dict[str, Any]):
        refuse_existing(out)
        self.folder = self.folder_of(out)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._claim(request)

    @staticmethod
    def folder_of(out: Path) -> Path:
        """Where the pieces of `out` lie until it is whole."""
        return out.with_name(f"{out.name}.pieces")

    def path(self, name: str) -> Path:
        """Where the piece of this name is, once it is finished."""
        return self.folder / name

    def remove(self) -> None:
        shutil.rmtree(self.folder)

    def _claim(self, request: dict[str, Any]) -> None:
        note = self.folder / "request.json"
        begun = any(path != note for path in self.folder.iterdir())
        if not (begun and note.exists()):  # a request without pieces binds nobody
            with atomic_file(note) as partial:
                partial.write_text(json.dumps(request, indent=1) + "\n")
        kept = json.loads(note.read_text())
        other = [key for key in kept | request if kept.get(key) != request.get(key)]
        if other:
            was = ", ".join(f"{key} {kept.get(key)}" for key in other)
            raise ValueError(
                f"{self.folder} holds pieces of another request ({was}): ask for the "
                "same to go on with it, choose another --out, or delete it"
            )
