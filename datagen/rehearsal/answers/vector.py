"""The simulated teacher's vectors: texts that share words and stems lie near each other. They know nothing of what words mean."""

from __future__ import annotations

import base64
import hashlib
import re

STEM, GRAM = 5, 4
"""Letters of a word that say what it is, whatever its ending; letters of a piece of a word."""
WORD_SHARE = 3.0
"""What a word weighs against one piece of it."""
_WORDS = "a an the of to in on at by for from with and or but if is are was were be has have had do does did it its he she they his her their this"
_EMPTY = frozenset((_WORDS + " that these those there then as so how what which who when many much each every all will would can").split())
_word = re.compile(r"[^\W_]+")


def vector(text: str, dimensions: int) -> str:
    """So many numbers, of length 1, as base64 of 32-bit floats: a function of the text alone."""
    import numpy as np

    total, size = np.zeros(dimensions), (dimensions + 7) // 8
    for feature, weight in sorted(_features(text)):
        drawn = hashlib.shake_128(feature.encode("utf-8", "surrogatepass")).digest(size)
        total += weight * (2.0 * np.unpackbits(np.frombuffer(drawn, np.uint8))[:dimensions] - 1.0)
    return base64.b64encode((total / np.linalg.norm(total)).astype("<f4").tobytes()).decode()


def _features(text: str) -> set[tuple[str, float]]:
    """(what stands in the text, its weight), each once."""
    words = {word for word in _word.findall(text.lower()) if word not in _EMPTY}
    stems = {(word[:STEM], WORD_SHARE) for word in words}
    pieces = {(f"-{word[at : at + GRAM]}", 1.0) for word in words for at in range(len(word) - GRAM + 1)}
    return stems | pieces or {(text, 1.0)}
