"""What the user, project or array of a job holds at a moment of a simulation, of what it may hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gpufleet.base.say import Said, say
from gpufleet.results.explain_limits import who
from gpufleet.world.layout import UNLIMITED
from gpufleet.world.names import ARRAY

if TYPE_CHECKING:
    from gpufleet.world.joined import Account
    from gpufleet.world.layout import World
    from gpufleet.world.names import Names


class LimitNow(NamedTuple):
    """One limit at one moment."""

    kind: str  # user, project or array
    name: str
    path: str  # of the limit in the plan
    product: str | None = None  # GPUs of it; None: of all products
    unit: str = "GPU"  # or job
    used: int = 0
    most: int = 0
    ended: bool = False  # nothing of the project starts any more

    def refuses(self, gpus: int) -> bool:
        """Whether it has no room for a job of so many GPUs."""
        return self.ended or self.used + (gpus if self.unit == "GPU" else 1) > self.most

    def text(self) -> Said:
        """The numbers in a sentence."""
        told: dict[str, Any] = {"who": who(self.kind, self.name), "path": self.path}
        if self.ended:
            return say("{who} has ended; nothing of it starts any more ({path})", **told)
        told |= {"used": self.used, "most": self.most}
        if self.unit == "job":
            return say("{who} runs {used:,} of {most:,} jobs that it may run at once ({path})", **told)
        if self.product is None:
            return say("{who} holds {used:,} of {most:,} GPUs that it may hold ({path})", **told)
        return say(
            "{who} holds {used:,} of {most:,} {product} that it may hold ({path})",
            product=self.product,
            **told,
        )


class Holding(NamedTuple):
    """A running job."""

    cls: int
    product: int
    gpus: int
    cell: int


def limits_now(
    world: World, names: Names, cls: int, accounts: Sequence[Account], running: Sequence[Holding], t_s: int
) -> tuple[LimitNow, ...]:
    """The limits of a class beside what the running jobs that count in them hold.

    Args: accounts: who has which number in the world; t_s: the moment.
    """
    if world.accounts is None:
        return ()
    mine = [each for each in world.accounts.of_class[cls].tolist() if each >= 0]
    found: list[LimitNow] = []
    for number in mine:
        here = LimitNow(*accounts[number])
        if world.accounts.end_s[number] <= t_s:
            found.append(here._replace(ended=True))
            continue
        counted = [each for each in running if number in world.accounts.of_class[each.cls]]
        found += _of_account(here, world, names, number, _held(counted), len(counted))
    return tuple(found)


def _held(running: Sequence[Holding]) -> dict[int, int]:
    """GPUs by product."""
    held: dict[int, int] = {}
    for each in running:
        held[each.product] = held.get(each.product, 0) + each.gpus
    return held


def _of_account(
    here: LimitNow, world: World, names: Names, number: int, held: Mapping[int, int], jobs: int
) -> Iterator[LimitNow]:
    assert world.accounts is not None
    for product, most in enumerate(world.accounts.limit[number].tolist()):
        if most != UNLIMITED:
            yield here._replace(product=names.products[product], used=held.get(product, 0), most=most)
    if (most := int(world.accounts.total[number])) != UNLIMITED:
        yield here._replace(used=sum(held.values()), most=most)
    most = int(world.accounts.jobs[number])
    if most != UNLIMITED and here.kind != ARRAY:  # of an array that comes nothing runs yet
        yield here._replace(unit="job", used=jobs, most=most)
