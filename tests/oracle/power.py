"""Power of sites in the oracle: what is drawn, what is allowed, who stops, and the meter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gpufleet.world.layout import (
    FULL_LEVEL,
    FULL_SPEED,
    LEVEL_S,
    N_CAPPED,
    NO_CAP,
    OVER_J,
    OVER_S,
    POWER_LEVELS,
    RUN_ON,
    SLOW_S,
    Policy,
    Power,
    World,
)

from .model import Job, Option, duration

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
        self.held: list[tuple[int, int]] = []
        self.slows = power.level_w.size > 0
        self.level = [FULL_LEVEL] * self.n_sites
        self.energy: dict[tuple[int, int, int], int] = {}
        self.capped: dict[tuple[int, int, int], int] = {}
        self.peak: dict[tuple[int, int], int] = {}
        self.bin_levels: dict[tuple[int, int], dict[int, int]] = {}
        self.level_s = np.zeros((self.n_sites, POWER_LEVELS + 1), np.int64)

    def site(self, option: Option) -> int:
        return int(self.site_of[option.cell.index])

    def low(self, site: int) -> int:
        return int(self.power.site_low[site]) if self.slows else FULL_LEVEL

    def of_job(self, job: Job, option: Option, level: int) -> int:
        kind, cell = self.power.class_kind[job.cls], option.cell.index
        watts = self.power.level_w[level] if self.slows else self.power.kind_w
        return int(job.gpus * watts[kind, cell])

    def speed(self, job: Job) -> int:
        if not self.slows:
            return FULL_SPEED
        assert job.option is not None
        level, kind = self.level[self.site(job.option)], self.power.class_kind[job.cls]
        return int(self.power.level_speed[level, kind, job.option.cell.index])

    def done(self, job: Job, seconds: int) -> int:
        return seconds * self.speed(job)

    def parts(self, sim: Simulation, site: int, level: int) -> list[int]:
        """What free GPUs draw, and the jobs of each kind at a level, W."""
        drawn = [0] * (1 + self.n_kinds)
        for node in sim.nodes:
            if node.in_service and self.site_of[node.cell.index] == site:
                drawn[0] += (node.size - node.used) * int(self.power.idle_w[node.cell.index])
        for job in self.there(sim, site):
            assert job.option is not None
            drawn[1 + int(self.power.class_kind[job.cls])] += self.of_job(job, job.option, level)
        return drawn

    def least(self, sim: Simulation, site: int) -> int:
        held = sum(watts for at, watts in self.held if at == site)
        return sum(self.parts(sim, site, self.low(site))) + held

    def hold(self, job: Job, option: Option) -> None:
        """Places kept for the rest of a cycle are kept with their power."""
        site = self.site(option)
        self.held.append((site, self.of_job(job, option, self.low(site))))

    def there(self, sim: Simulation, site: int) -> list[Job]:
        return [j for j in sim.running() if j.option and self.site(j.option) == site]

    def admits(self, sim: Simulation, job: Job, option: Option) -> bool:
        site = self.site(option)
        own, idle = self.of_job(job, option, self.low(site)), int(self.power.idle_w[option.cell.index])
        return self.least(sim, site) + own - job.gpus * idle <= self.cap[site]

    def ever_admits(self, job: Job, option: Option) -> bool:
        site = self.site(option)
        best = max([self.cap[site], *(cap for _, of, cap in self.caps if of == site)])
        return self.of_job(job, option, self.low(site)) <= best

    def change(self, sim: Simulation) -> None:
        """Caps of this second; then jobs stop where more is drawn, if the plan says so."""
        while self.caps and self.caps[0][0] <= sim.now:
            _, site, self.cap[site] = self.caps.pop(0)
            for cell in sim.cells:
                if self.site_of[cell.index] == site:
                    sim.mark_due(cell.island, full=True)
        for site in range(self.n_sites if self.power.over_cap else 0):
            while self.least(sim, site) > self.cap[site] and self.may_stop(sim, site):
                last = min(self.may_stop(sim, site), key=lambda j: (j.priority, -j.started, -j.id))
                sim.kill(last, "NodeKilled")

    def may_stop(self, sim: Simulation, site: int) -> list[Job]:
        return [job for job in self.there(sim, site) if not self.power.class_kept[job.cls]]

    def set_levels(self, sim: Simulation) -> None:
        """The second is over: every site runs at its highest level under the cap, or its lowest."""
        for site in range(self.n_sites if self.slows else 0):
            low = self.low(site)
            fits = (
                level
                for level in range(FULL_LEVEL, low, -1)
                if sum(self.parts(sim, site, level)) <= self.cap[site]
            )
            self.level[site] = next(fits, low)
            for job in self.there(sim, site):
                self.set_end(job, sim.now, sim.policy)

    def set_end(self, job: Job, now: int, policy: Policy) -> None:
        assert job.option is not None
        left = duration(job, job.option, policy) * FULL_SPEED - job.progress
        ends = now - (-left // self.speed(job))
        kills = job.limit > 0 and policy.over_limit != RUN_ON
        job.ends_killed = kills and job.started + job.limit < ends
        job.ends = job.started + job.limit if job.ends_killed else ends

    def account(self, sim: Simulation, t: int) -> None:
        """Nothing changes from now to t."""
        grid = sim.clock.grid_s
        for site in range(self.n_sites):
            parts, level = self.parts(sim, site, self.level[site]), self.level[site]
            total, most = sum(parts), int(self.power.most_w[site])
            share = -(-total * POWER_LEVELS // max(most, 1))
            self.level_s[site, share] += t - sim.now
            over = max(0, total - self.cap[site])
            capped = {OVER_S: over > 0, OVER_J: over}
            if self.slows:
                capped |= {SLOW_S: level < FULL_LEVEL, LEVEL_S: level}
            for b in range(sim.now // grid, (t - 1) // grid + 1):
                inside = min(t, (b + 1) * grid) - max(sim.now, b * grid)
                shares = self.bin_levels.setdefault((site, b), {})
                shares[share] = shares.get(share, 0) + inside
                self.peak[site, b] = max(self.peak.get((site, b), 0), total)
                for part, watts in enumerate(parts):
                    self.energy[site, part, b] = self.energy.get((site, part, b), 0) + watts * inside
                for column, value in capped.items():
                    self.capped[site, column, b] = self.capped.get((site, column, b), 0) + value * inside

    def tables(self, n_bins: int) -> tuple[Any, ...]:
        energy = np.zeros((self.n_sites, 1 + self.n_kinds, n_bins), np.int64)
        capped = np.zeros((self.n_sites, N_CAPPED, n_bins), np.int64)
        peak = np.zeros((self.n_sites, n_bins), np.int64)
        for table, found in ((energy, self.energy), (peak, self.peak), (capped, self.capped)):
            for place, value in found.items():
                table[place] = value
        p99 = np.zeros((self.n_sites, n_bins), np.int64)
        for (site, b), shares in self.bin_levels.items():
            held = [s for s, seconds in sorted(shares.items()) for _ in range(seconds)]
            most = int(self.power.most_w[site])
            p99[site, b] = held[-(-99 * len(held) // 100) - 1] * most // POWER_LEVELS
        return energy, peak, p99, self.level_s, capped
