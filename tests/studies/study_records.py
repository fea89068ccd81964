"""Records of runs with planted losses, for the tests of studies."""

from typing import Any

import numpy as np

from jetlab.records import Record

TIME = np.linspace(0, 1, 30)
PLATEAU = 0.8 + 0.4 * np.exp(-10 * TIME)
RISING = PLATEAU + 0.1 * np.maximum(TIME - 0.4, 0)


def record(N: int, D: int, loss: float | None, **fields: Any) -> Record:
    """A finished single pass of N parameters over D jets."""
    known = {
        "id": f"{fields.get('arm')}-{fields.get('inputs')}-{N}-{D}", "status": "done",
        "study": "test", "arm": "single", "source": "none", "inputs": "full-40",
        "width": 1, "epochs": 1, "C": 240.0 * N * D, "n_p": 40.0, "seed": 0,
        "batch": 128, "learning_rate": 1e-3, "weight_decay": 0.0, "loss_error": 2e-3,
        "num_valid": 1000, "seconds": 0.0, "device": "", "version": "",
    }  # fmt: skip
    return Record(N=int(N), D=int(D), loss=loss, **{**known, **fields})


def repeated_record(N: int, D: int, curve: np.ndarray, **fields: Any) -> Record:
    """A repeated run at the lowest point of its validation curve, evaluated every ten
    steps."""
    best = int(np.argmin(curve))
    known = {
        "arm": "repeated", "epochs": 50, "patience": 5, "steps": 10 * (best + 1),
        "valid_curve": [(10 * (i + 1), float(loss)) for i, loss in enumerate(curve)],
    }  # fmt: skip
    return record(N, D, float(curve[best]), **{**known, **fields})
