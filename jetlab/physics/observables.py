"""Observables of jets from their constituents: pT, mass, N-subjettiness, multiplicity
and the energy correlator D2.

Constituents are massless and given by pT, deta and dphi relative to the jet's axis.
The observables are invariant under boosts along the beam, so the jet's own eta is not
needed.

Subjets are those of the exclusive kT algorithm without a distance to the beam (Catani
et al., Nucl. Phys. B 406 (1993) 187), as axes of N-subjettiness are found in FastJet
contrib: pairs are merged in the order of min(pT_i, pT_j)^2 (dy^2 + dphi^2).
"""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

Scheme = Literal["E", "WTA"]
"""How two particles are merged: their 4-momenta are added (E), or the sum of their pT
takes the direction of the harder one (WTA, winner takes all, arXiv:1401.2158)."""

R0, BETA = 0.8, 1.0
"""Radius and power of the angle in N-subjettiness."""

FEWEST = 3
"""Constituents below which tau32 and D2 are not defined."""

CHUNK = 512  # jets at a time: bounds the memory of pairs of constituents
FAR = jnp.inf


class Observables(NamedTuple):
    """Observables by jet. Jets with fewer than `FEWEST` constituents have NaN for
    tau21, tau32 and D2, `few` is their number; so have ratios of 0 and 0, of
    constituents in one or two directions."""

    pt: Float[np.ndarray, "b"]  # GeV
    mass: Float[np.ndarray, "b"]  # GeV
    tau21: Float[np.ndarray, "b"]
    tau32: Float[np.ndarray, "b"]
    multiplicity: Int[np.ndarray, "b"]
    d2: Float[np.ndarray, "b"]

    @property
    def few(self) -> int:
        return int((self.multiplicity < FEWEST).sum())


def observables(
    pt: Float[np.ndarray, "b n"],
    deta: Float[np.ndarray, "b n"],
    dphi: Float[np.ndarray, "b n"],
    mask: Bool[np.ndarray, "b n"],
    scheme: Scheme = "E",
) -> Observables:
    """The observables of padded jets, in double precision.

    Args:
      pt: transverse momenta in GeV.
      deta, dphi: angles relative to the jet's axis.
      mask: False for padding.
      scheme: of the axes of N-subjettiness.

    Raises:
      ValueError: for a jet without constituents, or a constituent whose pT is not
        positive and finite or whose angles are not finite.
    """
    _check(pt, deta, dphi, mask)
    if not len(pt):
        none = np.zeros(0)
        return Observables(none, none, none, none, none.astype(int), none)
    with jax.enable_x64(True):
        parts = [
            jax.device_get(
                _of_chunk(*(jnp.asarray(a, float) for a in part[:3]), part[3], scheme)
            )
            for part in _chunks(pt, deta, dphi, mask)
        ]
    columns = [np.concatenate(c)[: len(pt)] for c in zip(*parts, strict=True)]
    return Observables(*columns)


def _check(pt: np.ndarray, deta: np.ndarray, dphi: np.ndarray, mask: np.ndarray):
    empty = np.flatnonzero(~mask.any(axis=1))
    if empty.size:
        raise ValueError(f"jet {empty[0]} has no constituents")
    good = np.isfinite(pt) & (pt > 0) & np.isfinite(deta) & np.isfinite(dphi)
    bad = np.argwhere(mask & ~good)
    if bad.size:
        jet, place = bad[0]
        raise ValueError(
            f"jet {jet}, constituent {place}: pT {pt[jet, place]:g}, deta"
            f" {deta[jet, place]:g}, dphi {dphi[jet, place]:g}; pT must be positive and"
            " all finite"
        )


def _chunks(*columns: np.ndarray) -> list[list[np.ndarray]]:
    """Columns by `CHUNK` jets, the last filled up with copies of its last jet."""
    count = len(columns[0])
    size = min(CHUNK, count)
    starts = range(0, count, size)
    rows = [np.minimum(np.arange(i, i + size), count - 1) for i in starts]
    return [[column[r] for column in columns] for r in rows]


@partial(jax.jit, static_argnames="scheme")
def _of_chunk(
    pt: Array, deta: Array, dphi: Array, mask: Array, scheme: Scheme
) -> tuple[Array, ...]:
    pt = jnp.where(mask, pt, 0.0)
    deta, dphi = jnp.where(mask, deta, 0.0), jnp.where(mask, dphi, 0.0)
    jet = _four_momentum(pt, deta, dphi).sum(axis=-1)
    count = mask.sum(axis=-1)
    one, two, three = jax.vmap(partial(_taus, scheme=scheme))(pt, deta, dphi, mask)
    enough = count >= FEWEST
    return (
        jnp.hypot(jet[:, 0], jet[:, 1]),
        _mass(jet),
        jnp.where(enough, two / one, jnp.nan),
        jnp.where(enough, three / two, jnp.nan),
        count,
        jnp.where(enough, _d2(pt, deta, dphi), jnp.nan),
    )


def _four_momentum(pt: Array, eta: Array, phi: Array) -> Float[Array, "*b 4 n"]:
    """(px, py, pz, E) of massless particles."""
    parts = [pt * jnp.cos(phi), pt * jnp.sin(phi), pt * jnp.sinh(eta)]
    return jnp.stack([*parts, pt * jnp.cosh(eta)], axis=-2)


def _mass(p: Float[Array, "*b 4"]) -> Float[Array, "*b"]:
    square = p[..., 3] ** 2 - (p[..., :3] ** 2).sum(-1)
    return jnp.sqrt(jnp.maximum(square, 0.0))


def _d2(pt: Array, eta: Array, phi: Array) -> Float[Array, "b"]:
    """D2 = e3 / e2^3 (arXiv:1409.6298) with the angular power 1, where e2 and e3 are
    the sums over pairs and triplets of z_i z_j R_ij and z_i z_j z_k R_ij R_ik R_jk.

    Triplets are the closed paths of length three: a trace of the cube of a matrix.
    """
    z = pt / pt.sum(axis=-1, keepdims=True)
    pairs = _distance(eta, phi) * jnp.sqrt(z[:, :, None] * z[:, None, :])
    two = jnp.einsum("bi,bij,bj->b", jnp.sqrt(z), pairs, jnp.sqrt(z)) / 2
    three = jnp.einsum("bij,bji->b", pairs @ pairs, pairs) / 6
    return three / two**3


def _distance(eta: Array, phi: Array) -> Float[Array, "*b n n"]:
    """R_ij = sqrt(deta^2 + dphi^2) between all constituents."""
    return jnp.hypot(
        eta[..., :, None] - eta[..., None, :],
        _wrapped(phi[..., :, None] - phi[..., None, :]),
    )


def _wrapped(angle: Array) -> Array:
    return (angle + np.pi) % (2 * np.pi) - np.pi


class _Pseudojets(NamedTuple):
    """What is left of a jet's constituents: 4-momenta, pT and direction, and the
    distances between them, infinite for those that are merged or padding."""

    p: Float[Array, "4 n"]
    pt: Float[Array, "n"]
    y: Float[Array, "n"]
    phi: Float[Array, "n"]
    alive: Bool[Array, "n"]
    distance: Float[Array, "n n"]


def _taus(
    pt: Array, eta: Array, phi: Array, mask: Array, *, scheme: Scheme
) -> tuple[Array, Array, Array]:
    """tau_1, tau_2 and tau_3 of one jet (arXiv:1011.2268): the sum over constituents of
    pT times the distance to the nearest axis, over that of pT R0."""
    left = _Pseudojets(
        _four_momentum(pt, eta, phi), pt, eta, phi, mask, jnp.zeros((len(pt),) * 2)
    )
    left = left._replace(distance=_all_distances(left))
    found = []
    for axes in (3, 2, 1):
        left = jax.lax.while_loop(
            lambda state, axes=axes: state.alive.sum() > axes,
            partial(_merge, scheme=scheme),
            left,
        )
        away = jnp.hypot(eta[:, None] - left.y, _wrapped(phi[:, None] - left.phi))
        nearest = jnp.where(left.alive, away, FAR).min(axis=1) / R0
        found.append((pt * nearest**BETA).sum() / pt.sum())
    three, two, one = found
    return one, two, three


def _all_distances(left: _Pseudojets) -> Float[Array, "n n"]:
    n = len(left.pt)
    each = jax.vmap(partial(_distances_of, left))(jnp.arange(n))
    return jnp.where(left.alive[:, None], each, FAR)


def _distances_of(left: _Pseudojets, i: Array) -> Float[Array, "n"]:
    """kT distances of one pseudojet to all others; infinite to itself."""
    angle = (left.y - left.y[i]) ** 2 + _wrapped(left.phi - left.phi[i]) ** 2
    d = jnp.minimum(left.pt, left.pt[i]) ** 2 * angle
    others = left.alive & (jnp.arange(len(d)) != i)
    return jnp.where(others, d, FAR)


def _merge(left: _Pseudojets, scheme: Scheme) -> _Pseudojets:
    """The two nearest become one, in the place of the first."""
    n = len(left.pt)
    i, j = jnp.divmod(jnp.argmin(left.distance), n)
    p = left.p[:, i] + left.p[:, j]
    if scheme == "E":
        pt = jnp.hypot(p[0], p[1])
        y, phi = jnp.arctanh(p[2] / p[3]), jnp.arctan2(p[1], p[0])
    else:
        harder = jnp.where(left.pt[i] >= left.pt[j], i, j)
        pt, y, phi = left.pt[i] + left.pt[j], left.y[harder], left.phi[harder]
    merged = left._replace(
        p=left.p.at[:, i].set(p),
        pt=left.pt.at[i].set(pt),
        y=left.y.at[i].set(y),
        phi=left.phi.at[i].set(phi),
        alive=left.alive.at[j].set(False),
    )
    own, place = _distances_of(merged, i), jnp.arange(n)
    gone = (place == j)[:, None] | (place == j)[None, :]
    d = jnp.where(gone, FAR, merged.distance)
    d = jnp.where((place == i)[:, None], own[None, :], d)
    return merged._replace(distance=jnp.where((place == i)[None, :], own[:, None], d))
