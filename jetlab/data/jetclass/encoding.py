"""Jets as stored -> branches of JetClass: what `decoding` undoes without a loss."""

from typing import Any

import awkward as ak
import numpy as np
from jaxtyping import Float

from jetlab.data.jetclass.decoding import FLAGS, FLOATS, JET, TEN_LABELS
from jetlab.data.jetclass.labels import JETCLASS2
from jetlab.types import CLASSES, Jets

STEEPEST = 60.0  # |eta| beyond it would make pz infinite in float32


def branches_of(jets: Jets, classes: tuple[str, ...]) -> ak.Array:
    """JetClass's branches of `jets`, whose labels count `classes`.

    part_px and part_py follow from pT and the angle jet_phi + dphi, part_pz from
    eta = jet_eta + sign(jet_eta) deta. In float32 they give back every stored pT, even
    the smallest that float16 holds at full precision.

    Raises:
      ValueError: if `classes` are neither those of JetClass nor those of JetClass-II,
        as the labels would then be read back as others.
    """
    if classes not in (CLASSES, JETCLASS2):
        raise ValueError(
            f"labels {', '.join(classes[:3])}, ... cannot be written as branches: they "
            "must be the 10 of JetClass or the 188 of JetClass-II"
        )
    flat = _momenta(jets)
    flat |= dict(zip(FLOATS[3:], jets.measured[:, 1:].T, strict=True))
    flat["part_charge"] = jets.charge
    flat |= {name: jets.species == number for number, name in enumerate(FLAGS)}
    step: dict[str, Any] = {
        name: ak.unflatten(values, jets.counts) for name, values in flat.items()
    }
    if classes == CLASSES:
        step |= {name: jets.label == k for k, name in enumerate(TEN_LABELS)}
    else:
        step["jet_label"] = jets.label
    step |= zip(JET, jets.jet.T, strict=True)
    step["jet_nparticles"] = jets.counts
    return ak.zip(step, depth_limit=1)


def _momenta(jets: Jets) -> dict[str, Float[np.ndarray, "total"]]:
    pt, _, deta, dphi, *_ = jets.measured.T.astype(np.float64)
    _, eta, phi, _ = np.repeat(jets.jet.astype(np.float64), jets.counts, axis=0).T
    eta = np.clip(eta + np.copysign(1.0, eta) * deta, -STEEPEST, STEEPEST)
    return {
        "part_px": pt * np.cos(phi + dphi),
        "part_py": pt * np.sin(phi + dphi),
        "part_pz": pt * np.sinh(eta),
    }
