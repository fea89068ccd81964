"""Which particle of a jet comes from which.

All generations of a jet share one queue: the particles that the decay emits, then their
children, then the children of these, siblings side by side. The numbers of children
determine the tree (a Galton-Watson process in breadth-first order), so it is built
without a loop over generations.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

SLOTS = 320  # particles of a jet in all generations, before the cut on pT


class Tree(NamedTuple):
    """Family tree of the slots of the queue."""

    parent: Int[Array, "b s"]
    root: Bool[Array, "b s"]  # emitted by the decay
    lepton: Bool[Array, "b s"]
    alive: Bool[Array, "b s"]


def draw_tree(
    key: Key[Array, ""],
    direct: Float[Array, "b n"],
    children: Float[Array, "b m"],
    lepton: Float[Array, "b"],
) -> Tree:
    """A tree for each jet.

    Args:
      direct: P(number of direct particles <= n) of the Poisson distribution.
      children: P(number of children of a particle <= m).
      lepton: P(the decay has a lepton | the jet is not empty).
    """
    roots, offspring = jax.random.split(key)
    uniform = jax.random.uniform(roots, (2, len(lepton), 1))
    leptonic = uniform[0] < lepton[:, None]
    # A jet without its lepton has at least one direct particle: it is not empty.
    least = jnp.where(leptonic, 0.0, direct[:, :1])
    number = (least + (1 - least) * uniform[1] >= direct).sum(-1, keepdims=True)
    number += leptonic

    slot = jnp.arange(SLOTS)
    uniform = jax.random.uniform(offspring, (len(lepton), SLOTS, 1))
    born = (uniform >= children[:, None]).sum(-1)
    # Length of the queue once the children of this slot are appended.
    length = number + jnp.cumsum(born, axis=-1)
    find = jax.vmap(lambda v: jnp.searchsorted(v, slot, side="right"))
    root = slot < number
    return Tree(
        parent=jnp.where(root, slot, jnp.minimum(find(length), SLOTS - 1)),
        root=root,
        lepton=leptonic & (slot == 0),
        # The queue ends at the first slot that no particle has been appended to.
        alive=jax.lax.cummax(slot - length + born, axis=1) < 0,
    )


def sum_over_ancestors(
    steps: Float[Array, "b s 3"], tree: Tree
) -> Float[Array, "b s 3"]:
    """Sums of `steps` over each slot and its ancestors, by pointer doubling."""

    def double(
        _: Int[Array, ""], carry: tuple[Array, Array, Array]
    ) -> tuple[Array, Array, Array]:
        total, up, done = carry
        more = jnp.take_along_axis(total, up[..., None], axis=1)
        total += jnp.where(done[..., None], 0.0, more)
        done |= jnp.take_along_axis(done, up, axis=1)
        return total, jnp.take_along_axis(up, up, axis=1), done

    carry = steps, tree.parent, tree.root
    return jax.lax.fori_loop(0, int(np.log2(SLOTS)), double, carry)[0]
