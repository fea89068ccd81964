"""Where a study's jets come from, by the name that the command line gives it."""

from pathlib import Path

from jetlab.data.shower.source import Shower
from jetlab.data.store import Store
from jetlab.types import Source

SHOWER = "shower"


def open_source(name: str) -> Source:
    """`shower`, or the store in a folder. Raises ValueError where it is neither."""
    return Shower() if name == SHOWER else Store(name)


def absolute_name(name: str) -> str:
    """The name for processes that may work in another folder."""
    return name if name == SHOWER else str(Path(name).resolve())
