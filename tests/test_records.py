"""Identity of specs, and tables of records."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from jetlab.records import identity


@dataclass(frozen=True)
class Inner:
    width: int
    rate: float = 0.5


@dataclass(frozen=True)
class Outer:
    inner: Inner
    name: str
    sizes: tuple[int, ...] = ()


def test_identity_depends_on_content_alone():
    one = Outer(Inner(4), "a")
    assert identity(one) == identity(Outer(Inner(4, rate=0.5), "a", sizes=()))
    others = [Outer(Inner(5), "a"), Outer(Inner(4), "b"), Outer(Inner(4), "a", (1,))]
    assert len({identity(spec) for spec in [one, *others]}) == 4


def test_a_new_field_with_a_default_keeps_old_identities():
    fields = [("width", int), ("rate", float, dataclasses.field(default=0.5))]
    grown = dataclasses.make_dataclass(
        "Inner", [*fields, ("new", int, dataclasses.field(default=3))], frozen=True
    )
    assert identity(grown(4)) == identity(Inner(4))
    assert identity(grown(4, new=2)) != identity(Inner(4))


def test_the_class_is_part_of_the_content():
    other = dataclasses.make_dataclass("Other", [("width", int)], frozen=True)
    assert identity(other(4)) != identity(Inner(4))


def test_what_has_no_canonical_form_is_refused():
    with pytest.raises(TypeError, match="ndarray"):
        identity(Outer(Inner(4), np.ones(3)))  # type: ignore[arg-type]
