"""Figure: Q-Q plots of the spectra, and the masses of the resonances."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.fidelity import observables
from benchmarks.fidelity.bootstrap import quantiles
from benchmarks.fidelity.samples import Sample
from benchmarks.fidelity.spectra import Owned, paired
from benchmarks.fidelity.tables import MASSES, Bootstrap
from jetlab.laws.plot_style import styled
from jetlab.types import CLASSES

PROBABILITIES = np.linspace(0.01, 0.99, 99)
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
def figure(both: Bootstrap, jets: Sample) -> Figure:
    """Differences of quantiles against the reference with one and two standard errors,
    and mass spectra of the simulated jets."""
    fig = Figure(figsize=(13.0, 6.2))
    panels = fig.subplots(2, 4).ravel()
    for ax, (name, (ours, theirs)) in zip(panels, paired(both).items(), strict=False):
        _differences(ax, ours, theirs, both)
        ax.set(xlabel=LABELS[name])
    for ax in panels[[0, 4]]:
        ax.set(ylabel="simulated − reference quantile")
    handles, labels = panels[0].get_legend_handles_labels()
    fig.legend(
        handles, labels, loc="outside upper center", ncols=4,
        title="quantiles of simulated minus reference jets, against the reference",
    )  # fmt: skip
    _masses(panels[7], jets)
    return fig


def _differences(ax: Axes, ours: Owned, theirs: Owned, both: Bootstrap) -> None:
    """A Q-Q plot minus its diagonal."""
    simulated, simulated_error = quantiles(*ours, both.simulated_times, PROBABILITIES)
    reference, error = quantiles(*theirs, both.reference_times, PROBABILITIES)
    difference, error = simulated - reference, np.hypot(simulated_error, error)
    for errors, alpha in ((2, 0.15), (1, 0.25)):
        label = f"± {errors} standard error{'s' if errors > 1 else ''}"
        ax.fill_between(
            reference, -errors * error, errors * error,
            color="tab:blue", alpha=alpha, lw=0, label=label,
        )  # fmt: skip
    ax.axhline(0, color="0.3", lw=0.8)
    ax.plot(reference, difference, color="tab:red", label="1 % to 99 %")
    marked = np.searchsorted(PROBABILITIES, (0.049, 0.249, 0.499, 0.749, 0.949))
    label = "of these 5, 25, 50, 75, 95 %"
    ax.plot(
        reference[marked], difference[marked], "o", ms=4, color="tab:red", label=label
    )


def _masses(ax: Axes, jets: Sample) -> None:
    groomed = jets.jet_columns.get("jet_sdmass")
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
