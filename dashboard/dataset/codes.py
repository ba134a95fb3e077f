"""Dictionary encoding: a small number for each different text, such as a login. Codes stay valid for ever."""

from __future__ import annotations

import numpy as np


class Codes:
    """Texts by code, in the order in which they came; code 0 is the empty text. It only grows."""

    def __init__(self) -> None:
        self.texts: list[str] = [""]
        self._codes: dict[str, int] = {"": 0}

    def code(self, text: str) -> int:
        """Return the text's code, a new one for a new text."""
        code = self._codes.setdefault(text, len(self.texts))
        if code == len(self.texts):
            self.texts.append(text)
        return code

    def ranks(self) -> np.ndarray:
        """Return the place of each code in the order of the texts, int32 (codes,)."""
        texts = self.texts[:]
        ranks = np.empty(len(texts), np.int32)
        ranks[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts), dtype=np.int32)
        return ranks
