"""Output of many tasks: finished files are kept until the whole is written."""

import json
import shutil
from pathlib import Path
from typing import Any

from jetlab.atomic import refuse_existing, write_text


class ResumableOutput:
    """The folder `OUT.pieces` of finished files of an output that is not whole yet.

    It lies beside `out`, on a file system that all workers share. `request` identifies
    the output: files of one request are never used for another.

    Raises:
      ValueError: if `out` exists, or the folder holds files of another request.
    """

    def __init__(self, out: Path, request: dict[str, Any]):
        refuse_existing(out)
        self.folder = self.folder_of(out)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._check_request(request)

    @staticmethod
    def folder_of(out: Path) -> Path:
        """The folder of the finished files of `out`."""
        return out.with_name(f"{out.name}.pieces")

    def path(self, name: str) -> Path:
        """The path of a finished file."""
        return self.folder / name

    def remove(self) -> None:
        """Delete the folder, once `out` is written."""
        shutil.rmtree(self.folder)

    def _check_request(self, request: dict[str, Any]) -> None:
        """Compare with the request that the folder was begun for, or write it."""
        path = self.folder / "request.json"
        has_files = any(other != path for other in self.folder.iterdir())
        if not (has_files and path.exists()):  # nothing finished: any request may begin
            write_text(path, json.dumps(request, indent=1) + "\n")
        begun = json.loads(path.read_text())
        differing = [
            key for key in begun | request if begun.get(key) != request.get(key)
        ]
        if differing:
            found = ", ".join(f"{key} {begun.get(key)}" for key in differing)
            raise ValueError(
                f"{self.folder} holds files of another request ({found}): repeat that"
                " request to resume it, choose another --out, or delete the folder"
            )
