"""Simulated jets beside real ones: the figure."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import observables
from benchmarks.fidelity_spectra import Owned, paired
from benchmarks.fidelity_tables import MASSES, Draws
from benchmarks.jet_samples import Sample
from benchmarks.resampling import quantiles
from jetlab.laws.plot_style import styled
from jetlab.types import CLASSES

SHARES = np.linspace(0.01, 0.99, 99)
LABELS = {
    "log pT": r"particle $\log(p_T/\mathrm{GeV})$",
    "dR": r"particle $\Delta R$",
    "deta": r"particle $\Delta\eta$",
    "dphi": r"particle $\Delta\phi$ [rad]",
    "multiplicity": "particles of a jet",
    "mass": "jet mass [GeV]",
    "pT": r"jet $p_T$ [GeV]",
}
SHOWN = {"Wqq": "tab:blue", "Zqq": "tab:cyan", "Hbb": "tab:orange", "Tbqq": "tab:red"}
BINS = np.arange(40, 241, 4.0)


@styled
def figure(both: Draws, jets: Sample) -> Figure:
    """Quantiles of simulated less those of real jets, against these, with one and two
    standard errors; and the masses of resonances."""
    drawn = Figure(figsize=(13.0, 6.2))
    panels = drawn.subplots(2, 4).ravel()
    for ax, (name, (ours, theirs)) in zip(panels, paired(both).items(), strict=False):
        _differences(ax, ours, theirs, both)
        ax.set(xlabel=LABELS[name])
    for ax in panels[[0, 4]]:
        ax.set(ylabel="simulated − real quantile")
    handles, labels = panels[0].get_legend_handles_labels()
    drawn.legend(
        handles, labels, loc="outside upper center", ncols=4,
        title="quantiles of simulated jets less those of real ones, by the real ones",
    )  # fmt: skip
    _masses(panels[7], jets)
    return drawn


def _differences(ax: Axes, ours: Owned, theirs: Owned, both: Draws) -> None:
    """A Q-Q plot with its diagonal laid flat."""
    mine, my_error = quantiles(*ours, both.of_simulated, SHARES)
    real, error = quantiles(*theirs, both.of_real, SHARES)
    off, error = mine - real, np.hypot(my_error, error)
    for errors, alpha in ((2, 0.15), (1, 0.25)):
        label = f"± {errors} standard error{'s' if errors > 1 else ''}"
        reach = errors * error
        ax.fill_between(
            real, -reach, reach, color="tab:blue", alpha=alpha, lw=0, label=label
        )
    ax.axhline(0, color="0.3", lw=0.8)
    ax.plot(real, off, color="tab:red", label="1 % to 99 %")
    marked = np.searchsorted(SHARES, (0.049, 0.249, 0.499, 0.749, 0.949))
    label = "of these 5, 25, 50, 75, 95 %"
    ax.plot(real[marked], off[marked], "o", ms=4, color="tab:red", label=label)


def _masses(ax: Axes, jets: Sample) -> None:
    groomed = jets.of_jet.get("jet_sdmass")
    mass = observables.of_jets(jets)["mass"] if groomed is None else groomed
    for name, color in SHOWN.items():
        own = mass[jets.label == CLASSES.index(name)]
        if len(own):
            density = np.histogram(own, BINS)[0] / len(own) / np.diff(BINS)
            ax.stairs(density, BINS, color=color, label=name, lw=1.4)
            ax.axvline(MASSES[name], color=color, lw=0.8, ls=":")
    kind = "plain" if groomed is None else "soft-drop"
    ax.set(xlabel=f"{kind} mass [GeV], simulated", ylabel="density [1/GeV]")
    ax.legend(loc="upper right", title="dotted: pole mass", title_fontsize=8)
