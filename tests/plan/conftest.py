from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gpufleet.base.errors import GpufleetError
from gpufleet.plan import Plan
from gpufleet.plan.load import load_plan

# Every key of the plan language stands here, but those that exclude each other (see test_schema.py).
FULL = """\
gpufleet: 1
name: full
title: Every key once
start: 2026-01-05
end: 2026-03-01
time_zone: Asia/Seoul
after_end: finish
jobs_until: 2026-02-20
seed: 7
files: {trace: jobs.csv, nodes: nodes.csv}
sites:
  lab:
    {title: Lab, time_zone: Asia/Tokyo, power: 900 kW, pue: 1.3, overhead: 10 kW, source: a, trust: stated,
     carbon_g_per_kwh: [{from: 2026-01-01, value: 423, source: a, trust: stated}],
     curtailments: [{from: 2026-01-20, until: 2026-01-21, power: 200 kW, source: a, trust: stated}],
     on_cap: slow, curve: [[0.5, 0.6], [1, 1]], gpu_caps: {B200: 900 W}}
  hall:
    power: [{from: 2026-01-01, value: 1 MW, source: a, trust: stated}, {from: 2026-02-01, value: 2 MW}]
    pue: 1.1
systems:
  own-node:
    {title: Own, product: own-gpu, gpus_per_node: 4, nodes_per_domain: 2, node_power: 3.2 kW,
     source: a, trust: stated}
deliveries:
  - {name: lot-1, to: lab, system: DGX B200, gpus: 64, at: 2026-01-05, status: delivered, for: research,
     source: a, trust: stated, ordered: 2025-12-01, counts_toward: fifty, operator: Somebody}
  - {to: hall, system: own-node, nodes: 16, at: {value: 2026-02, range: [2026-01, 2026-03], trust: estimate}}
retirements:
  - {from: lab, system: DGX B200, gpus: 16, at: 2026-02-12, mode: kill, for: research,
     source: a, trust: stated}
partitions:
  own: {title: Own, site: hall, product: own-gpu, gpus: 32, max_run_time: 2 d, source: a, trust: stated}
  first: {site: lab, nodes: [1, 4]}
  both: {parts: [{site: lab, product: B200, nodes: [5, 8]}, {site: hall, gpus: 16}], exclusive: true}
reservations:
  course: {title: Course, site: hall, product: own-gpu, partition: own, nodes: 4, from: 2026-02-10,
           to: 2026-02-11 12:00, for: [vision, by-hours], source: a, trust: stated}
  test: {site: lab, gpus: 8, from: 2026-01-20, to: 2026-01-21, for: big}
tenants:
  research:
    {title: Research, quota: {B200: 32}, partitions: [first, both], source: a, trust: assumption,
     limits: {per_user: {gpus: 16, jobs: 4}, per_project: {gpus: {B200: 32}, for: 30 d}}}
  vision:
    queues:
      train: {quota: {own-gpu: 8}, source: a, trust: stated, limits: {per_project: {jobs: 3}}}
      debug: {partitions: own}
power:
  {counts: measured, over_cap: run-on, kinds: {light: 0.4}, default: light, idle: 0.2, source: a,
   trust: stated, curve: [[0.6, 0.7], [1, 1]], steady: light}
failures: {gpu_hours_between: 50000, repair: 1 d, source: a, trust: stated}
workloads:
  history:
    kind: trace
    title: History
    file: trace
    format: gpufleet
    queue: {column: user, map: {old: train}, default: debug}
    products: {B200: 1.0, own-gpu: 0.5}
    from: 2026-01-05
    to: 2026-02-01
    time_zone: UTC
    shift: 1 h
    power: training
    source: a
    trust: stated
  big:
    {kind: campaign, title: Big, queue: research, gpus: 32, duration: 3 d, at: 2026-01-08, priority: 10,
     limit: 4 d, products: {B200: 1.0}, source: a, trust: stated, project: chips, tasks: 3, at_once: 2,
     power: full, after: [{workload: history, any: true}, like-philly]}
  like-philly:
    kind: profile
    title: Like Philly
    profile: philly
    queue: train
    load: [{from: 2026-01-05, value: 0.5, source: a, trust: assumption}, {from: 2026-02-01, value: 0}]
    scale: {gpus: 2, run_time: 0.5, most_gpus: 16}
    products: {own-gpu: 1.0}
    priority: 1
    projects: 4
    power: inference
    from: 2026-01-06
    to: 2026-02-15
    source: a
    trust: assumption
  by-hours: {kind: profile, profile: philly, queue: debug, gpu_hours_per_month: 900}
  model:
    kind: training
    title: Model
    model: llama-3-8b
    tokens: {value: 1T, range: [500B, 2T], source: a, trust: assumption}
    queue: research
    products: [B200]
    gpus: 32
    at: 2026-01-12
    sequence: 4096
    batch: 4M
    precision: fp8
    priority: 2
    phases:
      ablations: {share: 0.1, jobs: 4, gpus: 8, source: a, trust: assumption}
      continued: {share: 0.05}
      post_training: {}
      evaluation: {share: 0.01, gpus: 8}
    source: a
    trust: assumption
  by-date:
    {kind: training, model: llama-3-8b, tokens: 20B, queue: research, products: B200, at: 2026-01-12,
     by: 2026-02}
policy:
  order: priority
  strict: false
  backfill: {kind: conservative, depth: 50, window: 7 d, resolution: 60 s}
  placement: spread
  interval: 30 s
  estimate: {factor: 2}
  over_limit: run-on
  finish_lag: 1 s
scenarios:
  more: {title: More, set: {sites.lab.power: 950 kW}}
  both: {with: [more], set: {policy.strict: true}}
sources:
  a: {title: A, url: "https://example.org", date: 2026-01-01, note: read}
as_of: 2026-01-10
promises:
  fifty:
    {title: Fifty, kind: target, by: Maker, for: research, gpus: {value: 64, range: [60, 80]},
     product: Blackwell, at: 2025-10-31, from: 2026-01-01, until: 2026-02-28, source: a, trust: stated}
sums:
  whole: {title: Whole, promises: fifty, makes: 64, against: fifty, source: a, trust: stated}
  bought: {lots: [lot-1]}
  again: {sums: bought}
actuals:
  - {lot: lot-1, at: 2026-01-06, gpus: 56, source: a, trust: stated}
"""

# Every key of sharing, and of what goes with it.
SHARED = """\
gpufleet: 1
name: shared
start: 2026-01-05
end: 2026-01-19
sites:
  lab: {domains_per_block: 4}
deliveries:
  - {name: lot-1, to: lab, system: GB200 NVL72, gpus: 288, at: 2026-01-05}
cohorts:
  all: {title: All, quota: {GB200: 8}, source: a, trust: stated}
  sciences: {in: all, weight: 2, quota: {GB200: {nominal: 16, borrowing_limit: 64, lending_limit: 8}}}
tenants:
  physics:
    cohort: sciences
    weight: 3
    strict: false
    quota:
      GB200:
        nominal: [{from: 2026-01-05, value: 64, source: a, trust: stated}, {from: 2026-01-12, value: 96}]
        borrowing_limit: 72
        lending_limit: 32
        source: a
    preemption:
      within_queue: lower-or-newer-equal-priority
      reclaim_within_cohort: any
      borrow_within_cohort: lower-priority
      max_priority_threshold: normal
    fungibility: {when_can_borrow: try-next, when_can_preempt: stop, prefer: preemption}
    max_run_time: 48 h
  teaching:
    cohort: all
    preemption: {reclaim_within_cohort: lower-priority}
    queues:
      labs: {quota: {GB200: 72}}
      exams: {cohort: sciences, quota: {GB200: [{from: 2026-01-08, value: 32}]}}
  alone: {quota: {GB200: 0}}
priorities: {normal: 0, urgent: 100}
workloads:
  big:
    {kind: campaign, queue: physics, gpus: 64, duration: 3 d, at: 2026-01-08, priority: urgent,
     preemptible: true, checkpoint: 1 h, restart: 5 min, topology: {required: domain}}
  exam: {kind: campaign, queue: exams, gpus: 32, duration: 1 h, at: 2026-01-09, topology: {preferred: block,
         slice: {gpus: 16, level: domain}},
         checkpoint: none, restart: 0 s}
  quiz: {kind: campaign, queue: exams, gpus: 8, duration: 1 h, at: 2026-01-09,
         topology: {unconstrained: true}}
policy:
  order: priority
  sharing:
    lending: true
    fair: true
    strategies: [less-than-or-equal-to-final-share, less-than-initial-share]
    evict_falling_quota: true
    returns: last
    return_after: 2 min
    preemptions_at_most: 20
scenarios:
  no-lending: {set: {policy.sharing.lending: false}}
sources:
  a: {title: A}
"""

# Every key of the chain of lots.
CHAIN = """\
gpufleet: 1
name: chain
start: 2026-01-01
end: 2027-06-01
milestones:
  money: {title: Money, kind: budget, at: {value: 2026-02-01, range: [2026-01-15, 2026-04-01]}, source: a,
          trust: stated}
  tender: {kind: tender, after: money, takes: {value: 60 d, range: [50 d, 90 d]},
           fails: {value: 1, range: [0, 2]}, repeat_after: 30 d}
  by-chance: {kind: tender, after: money, p_success: 0.5, repeat_after: 30 d}
lead_times:
  default: {installed: 10 d, source: a, trust: estimate}
  DGX B200: {accepted: {value: 5 d, range: [3 d, 9 d]}}
sites: {hall: {}}
deliveries:
  - name: lot-1
    to: hall
    system: DGX B200
    gpus: 64
    ordered: 2026-02-01
    needs: {ordered: money, made: money, shipped: [money, tender], installed: tender, accepted: tender}
    lead_times: {made: 1 d, shipped: 2 d, delivered: 3 d, installed: 4 d, accepted: 5 d}
    steps: {made: 2026-03-01, shipped: {value: 2026-03-02, range: [2026-03-01, 2026-03-05]},
            installed: 2026-03-03, accepted: 2026-03-04}
    cancelled: {at: 2026-02-10, gpus: 8, because: Money, written_off: 2026-03-01, source: a, trust: stated}
    parts:
      - {gpus: 16, at: 2026-05-01, ordered: 2026-02-03, status: ordered, steps: {made: 2026-03-01},
         lead_times: {made: 2 d}, needs: {made: money}, cancelled: 2026-03-05, source: a, trust: stated}
  - {name: lot-2, to: hall, system: DGX H100, unit_price: 30 kUSD/GPU, at: 2026-06-01,
     replaces: {lot: lot-1, by: money, gpus: 8, at: 2026-02-11, ratio: 1.5, source: a, trust: stated}}
slots:
  plant: {title: Plant, step: made, products: B200, systems: DGX B200, sites: hall, source: a, trust: stated,
          gpus_per_month: [{from: 2026-01-01, value: 32, source: a, trust: stated}]}
tenants: {research: {}}
sources: {a: {title: A}}
"""

# Every key of money.
MONEY = """\
gpufleet: 1
name: money
start: 2026-01-01
end: 2027-06-01
sites: {hall: {power: 1 MW, pue: 1.2}}
deliveries:
  - {name: lot-1, to: hall, system: DGX B200, gpus: 64, at: 2026-02-01}
tenants: {research: {}}
money:
  currency: KRW
  rates: {KRW/USD: [{from: 2025-01-01, value: 1400, source: a, trust: stated}], KRW/JPY: 9.1}
  payers: {state: {title: The state, source: a, trust: stated}, operator: {}}
  funding:
    all: {title: All, payer: state, ceilings: {2026: 5 TKRW}, carry_over: false, source: a, trust: stated}
    chips:
      {payer: state, ceilings: {2026: {value: 1 TKRW, range: [0 KRW, 2 TKRW]}}, within: all, when_short: owe}
  tariffs:
    two:
      title: Two prices
      source: a
      trust: stated
      bands:
        - {hours: 9-23, months: 6-8, days: workdays, price: 200 KRW/kWh}
        - {hours: 23-9, months: [6, 7, 8], days: workdays, price: 100 KRW/kWh}
        - months: 6-8
          days: weekends
          price: [{from: 2026-01-01, value: 90 KRW/kWh, source: a, trust: stated}]
        - {months: 9-5, price: 150 KRW/kWh}
  costs:
    servers:
      title: Servers
      kind: hardware
      price: catalogue
      due: accepted
      paid_by: {chips: 0.5, operator: 0.5}
      life: {value: 5 y, range: [4 y, 6 y]}
      left: 0.1
      lots: lot-1
      sites: hall
      systems: DGX B200
      products: B200
      source: a
      trust: stated
    network: {kind: network, share: 0.1, of: servers, each: once, paid_by: state, for: research}
    hall: {kind: building, price: 5 GKRW, at: 2026-01-10, paid_by: state}
    care:
      {kind: maintenance, share: 0.05, of: servers, each: year, from: 2026-03-01, until: 2027-01-01,
       paid_by: state}
    energy: {kind: power, tariff: two, load: 0.8, paid_by: operator}
    charge: {kind: other, price: 1 GKRW, at: 2026-05-01, cash: false, paid_by: operator}
  income:
    rent: {title: Rent, price: 2 USD/GPU-h, hours: online, to: {operator: 1}, source: a, trust: stated}
  life: 5 y
  left: 0.05
  method: declining
  discount: 0.045
sources: {a: {title: A}}
"""

# Every key of export law.
LAW = """\
gpufleet: 1
name: law
start: 2025-01-01
end: 2026-06-01
unknown_law: closed
sites:
  hall: {country: CN}
deliveries:
  - name: lot-1
    to: hall
    system: box
    gpus: 64
    at: 2025-05-01
    ships_from: US
    buyer: {name: Somebody, hq: China}
    unknown_law: open
    export:
      {tpp: 2368, performance_density: 2.909, mem_bw_gbps: 4000, io_gbps: 1028, dc_marketed: true,
       declared_not_3a090: false, maker_hq: US, direct_from_us: true, us_tested: false, volume_share: 0.5,
       state_funded: false, quantity: 3, end_use: re_export}
systems:
  box: {product: H20, gpus_per_node: 8}
licences:
  first:
    {title: First, authority: us_export, to: [CN, HK], products: H20, systems: box, buyer: Somebody,
     from: 2025-08-08, until: 2026-01-01, gpus: 1000, revenue_share: 0.15, status: granted, source: a,
     trust: stated}
  second: {applied: 2025-08-01, takes: {value: 60 d, range: [30 d, 120 d]}, status: expected}
rules:
  feared:
    {title: Feared, authority: us_export, to: CN, hq: CN, products: [H20], when: tpp>=2000,
     policy: case_by_case, from: 2025-02-01, until: 2025-03-01, repeals: US-2025-04-09, source: a,
     trust: assumption}
tenants:
  research: {hq: CN}
sources:
  a: {title: A}
"""

SMALL = """\
gpufleet: 1
name: small
start: 2026-01-05
end: 2026-01-19
sites:
  lab: {power: 200 kW, pue: 1.3}
deliveries:
  - {name: lot-1, to: lab, system: DGX B200, gpus: 64, at: 2026-01-05}
tenants:
  research: {quota: {B200: 32}}
  vision: {}
workloads:
  big: {kind: campaign, queue: research, gpus: 32, duration: 3 d, at: 2026-01-08}
policy:
  order: fifo
"""

Load = Callable[..., Plan]
Codes = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that `FULL` names."""
    (tmp_path / "jobs.csv").write_text("job,submit_s,gpus,duration_s\n")
    (tmp_path / "nodes.csv").write_text("vc,node num,gpus\na,2,16\nb,3,24\n")
    return tmp_path


@pytest.fixture
def load(folder: Path) -> Load:
    """Write a plan beside those files and load it."""

    def write_and_load(text: str, sets: Sequence[str] = (), scenarios: Sequence[str] = ()) -> Plan:
        path = folder / "plan.yaml"
        path.write_text(text, encoding="utf-8")
        return load_plan(path, sets=sets, scenarios=scenarios)

    return write_and_load


@pytest.fixture
def codes(load: Load) -> Codes:
    """Codes and places of what is wrong with a plan."""

    def of(text: str, sets: Sequence[str] = (), scenarios: Sequence[str] = ()) -> list[str]:
        with pytest.raises(GpufleetError) as error:
            load(text, sets, scenarios)
        return [f"{found.code} {found.at}" for found in error.value.findings]

    return of


@pytest.fixture
def full() -> str:
    return FULL


@pytest.fixture
def sharing() -> str:
    return SHARED


@pytest.fixture
def chain() -> str:
    return CHAIN


@pytest.fixture
def money() -> str:
    return MONEY


@pytest.fixture
def law() -> str:
    return LAW


@pytest.fixture
def small() -> str:
    return SMALL
