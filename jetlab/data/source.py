"""Sources of jets by the name that a command line gives them."""

from pathlib import Path

from jetlab.data.shower.source import Shower
from jetlab.data.store import Store
from jetlab.types import Source

SHOWER = "shower"


def open_source(name: str) -> Source:
    """The simulated shower for "shower", otherwise the store in this folder.

    Raises:
      ValueError: if the folder is not a store.
    """
    return Shower() if name == SHOWER else Store(name)


def absolute_name(name: str) -> str:
    """The name for processes with another working directory."""
    return name if name == SHOWER else str(Path(name).resolve())
