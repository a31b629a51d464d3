"""How far a lot is that is several: it comes in parts, or some of it is cancelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gpufleet.base.say import say
from gpufleet.results.explain_lot import LotExplanation, why_lot

if TYPE_CHECKING:
    from gpufleet.results.run import Run

SCHEMA: Final = "gpufleet.why-lot-parts/1"


@dataclass(frozen=True)
class LotPartsExplanation:
    """How far each part of a lot is. `print` it, or take `to_json`."""

    name: str
    parts: tuple[LotExplanation, ...]  # in the order of the plan; what they leave over is called as the lot

    def to_json(self) -> dict[str, Any]:
        """The explanation as JSON values, schema ``gpufleet.why-lot-parts/1``."""
        whole, online = self._counts()
        return {
            "schema": SCHEMA,
            "lot": self.name,
            "gpus": whole,
            "online_gpus": online,
            "parts": [part.to_json() for part in self.parts],
        }

    def text(self) -> str:
        """The explanation for people: the answer, then each part."""
        whole, online = self._counts()
        answer = say(
            "lot {lot} is {parts} parts: {online:,} of its {whole:,} GPUs are online at the plan's end",
            lot=self.name, parts=len(self.parts), online=online, whole=whole,
        )  # fmt: skip
        return "\n\n".join([str(answer), *(part.text() for part in self.parts)])

    __str__ = text
    __repr__ = text

    def _counts(self) -> tuple[int, int]:
        """GPUs of all parts, and of these online at the plan's end."""
        online = sum(part.service[-1].online for part in self.parts if part.service)
        return sum(part.lot["gpus"] for part in self.parts), online


def why_declared(run: Run, name: str) -> LotExplanation | LotPartsExplanation:
    """How far a lot of the plan is, whether it is one or several.

    Args: name: as the plan declares it, or of one of its parts; it must exist.
    """
    parts = parts_of(run.plan["deliveries"], name)
    return (
        why_lot(run, name)
        if parts == [name]
        else LotPartsExplanation(name, tuple(why_lot(run, each) for each in parts))
    )


def parts_of(lots: dict[str, Any], name: str) -> list[str]:
    """The lots that a declared one has become; itself if it is one.

    >>> parts_of({"a/1": {"whole": "a"}, "a": {}, "b": {}}, "a"), parts_of({"b": {}}, "b")
    (['a/1', 'a'], ['b'])
    """
    return [each for each, lot in lots.items() if name in (each, lot.get("whole"))]
