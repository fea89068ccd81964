"""Counts and hash of the jets that go into a store."""

import hashlib
import json

import numpy as np

from jetlab.types import Jets


class Tally:
    """Jets and particles by class, and a hash of all columns in order."""

    def __init__(self, classes: tuple[str, ...]):
        self._classes = classes
        self._jets = np.zeros(len(classes), np.int64)
        self._particles = np.zeros(len(classes), np.int64)
        self._hashes = {name: hashlib.sha256() for name in Jets._fields}

    def add(self, jets: Jets) -> None:
        size = len(self._classes)
        self._jets += np.bincount(jets.label, minlength=size)
        particles = np.bincount(jets.label, jets.counts, minlength=size)
        self._particles += particles.astype(np.int64)
        for name, column in jets._asdict().items():
            self._hashes[name].update(column.data.cast("B"))

    def summary(self) -> dict:
        """The manifest's fields of these names."""
        digests = [digest.hexdigest() for digest in self._hashes.values()]
        content = json.dumps([self._classes, digests])
        mean = self._particles / np.maximum(self._jets, 1)
        return {
            "hash": hashlib.sha256(content.encode()).hexdigest(),
            "jets": int(self._jets.sum()),
            "particles": int(self._particles.sum()),
            "classes": dict(zip(self._classes, self._jets.tolist(), strict=True)),
            "mean_particles": {
                name: round(float(value), 4)
                for name, value, jets in zip(
                    self._classes, mean, self._jets, strict=True
                )
                if jets
            },
        }
