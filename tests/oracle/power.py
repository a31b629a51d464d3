"""Power of sites in the oracle: what is drawn, what is allowed, who stops, and the meter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gpufleet.world.layout import NO_CAP, POWER_LEVELS, Power, World

from .model import Job, Option

if TYPE_CHECKING:
    from .state import Simulation


class Meters:
    """The meters and caps of all sites."""

    def __init__(self, world: World, power: Power) -> None:
        self.power = power
        self.site_of = world.cells.site.tolist()
        self.n_sites, self.n_kinds = len(power.most_w), len(power.kind_w)
        self.caps = list(
            zip(power.cap_t_s.tolist(), power.cap_site.tolist(), power.cap_w.tolist(), strict=True)
        )
        self.cap = [NO_CAP] * self.n_sites
        self.energy: dict[tuple[int, int, int], int] = {}
        self.peak: dict[tuple[int, int], int] = {}
        self.level_s = np.zeros((self.n_sites, POWER_LEVELS + 1), np.int64)

    def of_job(self, job: Job, option: Option) -> int:
        kind = self.power.class_kind[job.cls]
        return int(job.gpus * self.power.kind_w[kind, option.cell.index])

    def parts(self, sim: Simulation, site: int) -> list[int]:
        """What free GPUs draw, and the jobs of each kind, W."""
        drawn = [0] * (1 + self.n_kinds)
        for node in sim.nodes:
            if node.in_service and self.site_of[node.cell.index] == site:
                drawn[0] += (node.size - node.used) * int(self.power.idle_w[node.cell.index])
        for job in self.there(sim, site):
            assert job.option is not None
            drawn[1 + int(self.power.class_kind[job.cls])] += self.of_job(job, job.option)
        return drawn

    def there(self, sim: Simulation, site: int) -> list[Job]:
        return [j for j in sim.running() if j.option and self.site_of[j.option.cell.index] == site]

    def admits(self, sim: Simulation, job: Job, option: Option) -> bool:
        site = self.site_of[option.cell.index]
        more = self.of_job(job, option) - job.gpus * int(self.power.idle_w[option.cell.index])
        return sum(self.parts(sim, site)) + more <= self.cap[site]

    def ever_admits(self, job: Job, option: Option) -> bool:
        site = self.site_of[option.cell.index]
        best = max([self.cap[site], *(cap for _, of, cap in self.caps if of == site)])
        return self.of_job(job, option) <= best

    def change(self, sim: Simulation) -> None:
        """Caps of this second; then jobs stop where more is drawn, if the plan says so."""
        while self.caps and self.caps[0][0] <= sim.now:
            _, site, self.cap[site] = self.caps.pop(0)
            for cell in sim.cells:
                if self.site_of[cell.index] == site:
                    sim.mark_due(cell.island, full=True)
        for site in range(self.n_sites if self.power.over_cap else 0):
            while sum(self.parts(sim, site)) > self.cap[site] and self.there(sim, site):
                sim.kill(min(self.there(sim, site), key=lambda j: (j.priority, -j.started, -j.id)), "Power")

    def account(self, sim: Simulation, t: int) -> None:
        """Nothing changes from now to t."""
        grid = sim.clock.grid_s
        for site in range(self.n_sites):
            parts = self.parts(sim, site)
            total, most = sum(parts), int(self.power.most_w[site])
            self.level_s[site, -(-total * POWER_LEVELS // max(most, 1))] += t - sim.now
            for b in range(sim.now // grid, (t - 1) // grid + 1):
                inside = min(t, (b + 1) * grid) - max(sim.now, b * grid)
                self.peak[site, b] = max(self.peak.get((site, b), 0), total)
                for part, watts in enumerate(parts):
                    self.energy[site, part, b] = self.energy.get((site, part, b), 0) + watts * inside

    def tables(self, n_bins: int) -> tuple[Any, Any, Any]:
        energy = np.zeros((self.n_sites, 1 + self.n_kinds, n_bins), np.int64)
        peak = np.zeros((self.n_sites, n_bins), np.int64)
        for place, joules in self.energy.items():
            energy[place] = joules
        for at, watts in self.peak.items():
            peak[at] = watts
        return energy, peak, self.level_s
