"""Which lines of the plan stand behind a cause of waiting."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from gpufleet.base.say import Said, say
from gpufleet.results.blame_sharing import cohort_paths, most_ever, quota_paths

Lock = Mapping[str, Any]

FOREVER_S: Final = 1 << 40
"""After every delivery; minus this is before every delivery."""


class Blame(NamedTuple):
    """A path of the plan and where it was written ("" if the plan leaves it to the default)."""

    path: str
    at: str

    def __str__(self) -> str:
        return self.says()

    def says(self) -> Said:
        """The path with its line."""
        if self.at:
            return say("{path} at {place}", path=self.path, place=self.at)
        return say("{path} (default)", path=self.path)


class Wish(NamedTuple):
    """What a refused job asks for, and what is known of its options when it came."""

    queue: str
    products: tuple[str, ...]  # each is an option
    gpus: int
    from_s: int = 0  # it waits from here, s from the plan's start
    until_s: int = FOREVER_S  # until here
    held: Mapping[str, float] = {}  # GPUs of a product that its queue held when it came
    place: Mapping[str, float] = {}  # most GPUs of a product online in one place when it came
    workload: str = ""  # that it comes from
    limits: tuple[str, ...] = ("per_user", "per_project")  # that it may count in


def line(lock: Lock, path: str) -> Blame:
    """A path with its line; a value that the plan does not write has none."""
    return Blame(path, lock["lines"].get(path, ""))


def products_of(lock: Lock, workload: str) -> list[str]:
    """Products that the jobs of a workload accept; all of the fleet if it names none."""
    named = [product for product, speed in lock["workloads"][workload]["products"] if speed]
    return named or list(dict.fromkeys(product for _, product, _ in _deliveries(lock)))


def usable(lock: Lock, products: Collection[str], tenant: str) -> list[str]:
    """Deliveries that a tenant's jobs of these products may use, its own and shared ones, by date."""
    fitting = [
        name for name, product, owner in _deliveries(lock) if product in products and owner in (None, tenant)
    ]
    return sorted(fitting, key=lambda name: lock["deliveries"][name]["at"])


def _deliveries(lock: Lock) -> Iterator[tuple[str, str, str | None]]:
    """(name, product, owner) of each delivery."""
    for name, delivery in lock["deliveries"].items():
        yield name, lock["systems"][delivery["system"]]["product"], delivery.get("tenant")


def quotas(lock: Lock, queue: str, products: Collection[str]) -> list[Blame]:
    """The lines of a queue's quotas of these products; the queue's own line if they have none."""
    found = [line(lock, path) for path in quota_paths(lock, queue, products)]
    return found or [line(lock, f"queues.{queue}")]


def blame(lock: Lock, cause: str, wish: Wish, *, unpowered: Collection[str] = ()) -> list[Blame]:
    """The lines behind a cause, the first the one to look at.

    A job is refused with the cause of the option that came nearest to starting it, so the lines for that
    cause are those of the options that the quota admits; the quotas that shut out the others follow.

    Args: cause: a refusal; wish: of the job that is refused so;
          unpowered: deliveries that stood without power: where that stands in the way, it is power.
    """
    if cause == "cohort":
        return [line(lock, path) for path in cohort_paths(lock, wish.queue, wish.products)]
    if cause == "reservation":
        off = [line(lock, f"reservations.{name}") for name in reservations_off(lock, wish)]
        return off or [line(lock, "policy.backfill")]
    if cause == "power":
        return [line(lock, path) for path in power_paths(lock)]
    if cause in ("limit", "dependency"):
        return [line(lock, path) for path in _limit_paths(lock, wish, cause)]
    if cause == "topology":
        return [line(lock, f"workloads.{wish.workload}.topology")]
    if cause == "own_quota":
        return quotas(lock, wish.queue, shut(lock, wish) or wish.products)
    if cause not in ("no_free", "fragmented", "not_online"):
        return [_depth(lock) if cause == "beyond_depth" else line(lock, _SETTINGS[cause])]
    open_ = admitted(lock, wish)
    if cause == "not_online":  # an option with enough GPUs online was not refused so
        lacking = [product for product in open_ if wish.place.get(product, 0) < wish.gpus]
        open_ = lacking or open_
    names = _large_enough(lock, wish, open_)
    power = _power(lock, wish, names, unpowered)
    closed = [product for product in shut(lock, wish) if product not in open_]
    quota = quotas(lock, wish.queue, closed) if closed else []
    if cause == "not_online":
        return power + _lots(lock, _later(lock, names, wish.from_s)) + quota
    return _lots(lock, names) + power + quota


def power_paths(lock: Lock) -> list[str]:
    """What the plan says of the caps of its sites: curtailments, and grid connections."""
    paths = [f"sites.{name}.{key}" for key in ("curtailments", "power") for name in lock["sites"]]
    return [path for path in paths if path in lock["lines"]] or ["power"]


def _limit_paths(lock: Lock, wish: Wish, cause: str) -> list[str]:
    """What the plan says of limits that the job may count in, or of what it depends on."""
    workload = f"workloads.{wish.workload}"
    if cause == "dependency":
        return [f"{workload}.after"]
    tenant = f"tenants.{lock['queues'][wish.queue]['tenant']}"
    parts = [f"{tenant}.limits", f"{tenant}.queues.{wish.queue}.limits"]
    paths = [f"{part}.{key}" for part in parts for key in wish.limits]
    return [path for path in (*paths, f"{workload}.at_once") if path in lock["lines"]]


def _lots(lock: Lock, names: Iterable[str]) -> list[Blame]:
    return [line(lock, f"deliveries.{name}") for name in names]


def _depth(lock: Lock) -> Blame:
    """How many jobs of a queue the scheduler looks at; by default, the line that chose backfilling."""
    own, chosen = (line(lock, path) for path in ("policy.backfill.depth", "policy.backfill"))
    return own if own.at else Blame(own.path, chosen.at)


def reservations_off(lock: Lock, wish: Wish) -> list[str]:
    """Reservations that are not for a job, where it may run, and that end after it came, by their begin.

    Those that begin after it had started count only if there is none before.
    """
    tenant = lock["queues"][wish.queue]["tenant"]
    found = {}
    for name, one in lock.get("reservations", {}).items():
        mine = {wish.queue, tenant, wish.workload} & set(one["holders"])
        ours = one.get("product") in (None, *wish.products)
        if not mine and ours and seconds(lock, one["to"]) > wish.from_s:
            found[name] = seconds(lock, one["from_"])
    early = [name for name, from_s in found.items() if from_s < wish.until_s]
    return sorted(early or found, key=lambda name: found[name])


_SETTINGS: Final = {
    "order": "policy.order",
    "between_passes": "policy.interval",
    "returning": "policy.sharing.return_after",
}


def shut(lock: Lock, wish: Wish) -> list[str]:
    """Products whose quota had no room for the job, by what its queue held when it came."""
    most = {product: most_ever(lock, wish.queue, product) for product in wish.products}
    return [p for p, gpus in most.items() if gpus is not None and wish.held.get(p, 0) + wish.gpus > gpus]


def admitted(lock: Lock, wish: Wish) -> list[str]:
    """Products whose quota had room; if none had, those whose quota could ever have; else all."""
    closed = shut(lock, wish)
    never = shut(lock, wish._replace(held={}))
    room = [p for p in wish.products if p not in closed]
    return room or [p for p in wish.products if p not in never] or list(wish.products)


def _large_enough(lock: Lock, wish: Wish, products: Collection[str]) -> list[str]:
    """Deliveries of places that hold the job when all of them are there; if no place does, of all places."""
    names = usable(lock, products, lock["queues"][wish.queue]["tenant"])
    sizes: dict[tuple[Any, ...], int] = {}
    for name in names:
        sizes[_place(lock, name)] = sizes.get(_place(lock, name), 0) + lock["deliveries"][name]["gpus"]
    return [name for name in names if sizes[_place(lock, name)] >= wish.gpus] or names


def _place(lock: Lock, name: str) -> tuple[Any, ...]:
    """Where a delivery's GPUs stand together with others: a job runs inside one such place."""
    delivery = lock["deliveries"][name]
    system = lock["systems"][delivery["system"]]
    return delivery["to"], system["product"], system["gpus_per_node"], delivery.get("tenant")


def _power(lock: Lock, wish: Wish, names: Sequence[str], unpowered: Collection[str]) -> list[Blame]:
    """Power of the sites where more of it would have brought GPUs that the job could take."""
    sizes: dict[tuple[Any, ...], int] = {}
    dark = {}
    for name in names:
        delivery, place = lock["deliveries"][name], _place(lock, name)
        if seconds(lock, delivery["at"]) < wish.until_s:
            sizes[place] = sizes.get(place, 0) + delivery["gpus"]
            if name in unpowered:
                dark[place] = delivery["to"]
    sites = dict.fromkeys(site for place, site in dark.items() if sizes[place] >= wish.gpus)
    return [line(lock, f"sites.{site}.power") for site in sites]


def _later(lock: Lock, names: list[str], at_s: int) -> list[str]:
    """Deliveries that come after a time; if none does, those before it, the last first."""
    later = [name for name in names if seconds(lock, lock["deliveries"][name]["at"]) > at_s]
    return later or names[::-1]


def unpowered_in(measures: Iterable[Mapping[str, Any]]) -> list[str]:
    """Deliveries that stood without power at any time, from the rows of measures.json."""
    of = (row for row in measures if row["name"] == "unpowered_gpu_h" and row["value"])
    return [row["by"]["delivery"] for row in of if row["by"]]


def seconds(lock: Lock, moment: str) -> int:
    """Seconds from the plan's start to a moment of the lock."""
    return int((datetime.fromisoformat(moment) - datetime.fromisoformat(lock["start"])).total_seconds())
