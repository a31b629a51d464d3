"""Numbers of tokens, as people write them: 15T, 500B, 16M."""

from __future__ import annotations

import re
from typing import Final

from typing_extensions import override

from gpufleet.base.say import say
from gpufleet.base.units import NUMBER
from gpufleet.plan.kinds import Schema, Value
from gpufleet.plan.reader import Reader
from gpufleet.plan.tree import Leaf

LETTERS: Final = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_AMOUNT: Final = re.compile(rf"({NUMBER})\s*([A-Za-z]*)")


class Tokens(Value[float]):
    """A number with a letter for its size; without one it may be meant in anything."""

    ranged = True

    def __init__(self, *, least: float, most: float, example: str) -> None:
        self.least, self.most, self.example = least, most, example
        self.wants = say("a number of tokens such as `{example}`", example=example)

    @override
    def parse(self, leaf: Leaf, reader: Reader) -> float:
        text = leaf.text.strip()
        match = _AMOUNT.fullmatch(text)
        letter = match[2].upper() if match else ""
        if match is None or letter not in LETTERS:
            bare = match is not None and not letter
            says = (
                say("`{text}` has no letter for its size", text=text[:60])
                if bare
                else say("`{text}` is not {wants}", text=text[:60], wants=self.wants)
            )
            fix = say("write e.g. `{example}`: K is 10^3, M 10^6, B 10^9, T 10^12", example=self.example)
            raise reader.refuse("P009", leaf.at, says, fix)
        value = float(match[1]) * LETTERS[letter]
        if not self.least <= value <= self.most:
            says = say(
                "{text} tokens are out of bounds: {least:.0e} to {most:.0e} are possible",
                text=text[:60],
                least=self.least,
                most=self.most,
            )
            fix = say("check the letter: K is 10^3, M 10^6, B 10^9, T 10^12")
            raise reader.refuse("P011", leaf.at, says, fix)
        return value

    @override
    def short_schema(self) -> Schema:
        pattern = rf"^{NUMBER}\s*[KMBTkmbt]$"
        return {"type": "string", "pattern": pattern, "examples": [self.example]}
