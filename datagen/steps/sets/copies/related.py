"""Which of all released texts have a say about new ones: their signatures are gone through once, and few are left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from datagen.steps.sets.copies.shingles import BANDS
from datagen.steps.sets.copies.ties import CROWD

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from datagen.steps.sets.copies.scan import Places
    from datagen.steps.sets.copies.similarity import Signatures

_CHUNK = 4096
"""Settled signatures that are looked at together: 900 KB, which a processor's cache holds."""
_MAYBE = 20
"""Bits of a key by which most settled texts are passed over: with 10,000 new texts 99 of 100."""


def related(settled: Iterable[Signatures], new: Signatures, exact_only: bool = False) -> Places:
    """Numbers of the settled texts, ascending, that decide about the new ones: with these alone the outcome is that with all of them.

    They share a digest with a new text, or a bucket; of a bucket CROWD are enough, for then it nominates nothing. Time follows the
    settled texts with a few nanoseconds a band, whatever they are; memory holds a chunk of them at a time.
    """
    import numpy as np

    likes = None if exact_only else _Likes(new["bands"][new["some"]])
    exact, found, start = np.unique(new["exact"]), [np.zeros(0, dtype=np.int64)], 0
    for some in settled:
        for at in range(0, len(some), _CHUNK):
            chunk = np.asarray(some[at : at + _CHUNK])
            near = likes.of(chunk) if likes else np.zeros(len(chunk), dtype=bool)
            found.append(start + at + np.nonzero(near | _among(chunk["exact"], exact))[0])
        start += len(some)
    return np.concatenate(found)


class _Likes:
    """The buckets of the new texts, and which settled ones are in them."""

    def __init__(self, bands: npt.NDArray[np.uint32]) -> None:
        import numpy as np

        self._keys = [np.unique(bands[:, band]) for band in range(BANDS)]
        self._full = [np.zeros(len(keys), dtype=np.int64) for keys in self._keys]
        self._maybe = np.zeros((BANDS, 1 << _MAYBE), dtype=bool)
        for band, keys in enumerate(self._keys):
            self._maybe[band, keys >> np.uint32(32 - _MAYBE)] = True

    def of(self, chunk: Signatures) -> npt.NDArray[np.bool_]:
        """Which of them share a bucket that is not yet full."""
        import numpy as np

        related = np.zeros(len(chunk), dtype=bool)
        for band, keys in enumerate(np.ascontiguousarray(chunk["bands"].T)):
            hits = np.nonzero(self._maybe[band][keys >> np.uint32(32 - _MAYBE)] & chunk["some"])[0]
            hits = hits[_among(keys[hits], self._keys[band])]
            at = np.searchsorted(self._keys[band], keys[hits])
            related[hits[self._full[band][at] < CROWD]] = True
            np.add.at(self._full[band], at, 1)
        return related


def _among(values: Any, known: Any) -> npt.NDArray[np.bool_]:
    """Which values stand in the sorted array."""
    import numpy as np

    if not len(known):
        return np.zeros(len(values), dtype=bool)
    return np.asarray(known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values)
