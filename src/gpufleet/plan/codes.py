"""What the codes of plan errors mean. The checks in `plan.check` bring their own."""

from __future__ import annotations

from typing import Final

from gpufleet.base.errors import explain_codes

# One block per code: code and title, why, and an indented example.
_TEXT: Final = """
P001 the file is not YAML
A plan is YAML. The line is where the parser stopped; the cause is often one line above: a missing colon
or space after it, a tab, a quote or bracket that was never closed, indentation that does not line up.
    sites:
      lab: {power: 200 kW      # the } is missing

P002 the plan cannot be read
The file or folder does not exist, is empty, may not be read, or is not UTF-8 text. A folder plan is all
*.yaml files in it, plan.yaml first.
    gpufleet check plan.yml      # the file is called plan.yaml

P003 the file is too large
A plan is written and read by people. Files over the limit are refused before they are read, so that a
wrong path (a trace, a disk image) costs nothing. Long lists belong in a CSV file, used by `table:`.
    gpufleet check trace.csv     # 200 MB

P004 YAML that a plan does not use
Tags (`!!python/...`), merge keys (`<<`), several documents in one file, very deep nesting, and aliases
that unfold to a great many values are refused: they hide what a plan says, and can exhaust memory.
    a: &a [x, x]
    b: &b [*a, *a, *a, *a]      # and so on: a bomb

P005 one key twice
A mapping holds each key once; YAML tools silently keep the last. Both lines are named. In a folder plan
each top-level key stands in one file only.
    tenants:
      research: {quota: {B200: 32}}
      research: {quota: {B200: 16}}

P006 unknown key
Nothing in a plan is ignored: a key that gpufleet does not know is an error, so that a typing mistake
cannot change what is simulated. `gpufleet schema` gives the keys to an editor.
    policy: {backfil: easy}      # did you mean `backfill`?

P007 missing key
Something that has no sensible default was left out.
    sites:
      lab: {power: 200 kW}       # pue is missing: how much of the 200 kW reaches the GPUs?

P008 another kind of value is wanted here
A list stands where a mapping belongs, a mapping where a value belongs, text where a number belongs, and
so on.
    tenants:
      - name: research          # tenants is a mapping: `research: {...}`

P009 wrong or missing unit
A power or a length of time carries its unit, so that nobody has to guess between kW and MW or hours and
seconds. Power: W, kW, MW, GW. Time: s, min, h, d, w.
    sites:
      lab: {power: 200}          # 200 what? write `200 kW`

P010 not a possible count
GPUs, nodes and the like are whole numbers that are not negative; a delivery or a job has at least one.
    deliveries:
      - {to: lab, system: DGX B200, gpus: 12.5, at: 2026-01-05}

P011 number out of bounds
The value cannot be meant: a speed of zero, a factor below zero, a time of thousands of years.
    products: {H200: 0}           # a job that never gets on

P012 not a date
A date is 2026-01-05, a date with time 2026-01-05 14:00 (in the plan's time zone, or with an offset such
as +09:00). A bare month means its first day. A quarter, a half or a year is too vague for one moment:
say which day to use and which range is possible.
    at: 2027-Q1                   # write {value: 2027-02-15, range: [2027-01-01, 2027-03-31]}

P013 date outside the plan's time
What happens before `start` is never simulated, and no job comes at or after `end`. GPUs that are already
there have `status: delivered` or `online`; their date may lie before the start. A lot that comes after the
end is a warning (P089).
    start: 2026-01-05
    deliveries:
      - {to: lab, system: DGX B200, gpus: 8, at: 2025-03-01}      # status: online

P014 range that does not hold its value
A range is [low, high] in the unit of the value, low first, and the value lies in it.
    gpus: {value: 50000, range: [55000, 45000]}

P015 not one of the choices
The key takes one of a few words.
    policy: {order: shortest}   # sjf

P016 unknown name
The plan refers to a site, system, product, tenant, queue, cohort, priority, file, source or scenario that
is not declared in it (systems and products: nor in the catalogue).
    deliveries:
      - {to: seoul, ...}          # sites: {lab: ...}

P020 one name twice
Names of queues and deliveries are used in results and in --set paths, so each stands for one thing.
    tenants:
      a: {queues: {train: {}}}
      b: {queues: {train: {}}}

P021 PUE below 1
PUE is facility power over IT power (ISO/IEC 30134-2): it is at least 1.
    sites:
      lab: {power: 200 kW, pue: 0.9}

P022 the end is not after the start
A plan needs some time to simulate.
    start: 2026-01-19
    end: 2026-01-05

P023 settings that exclude each other
SRTF preempts instead of backfilling; ordering by run time needs an estimate of it; a delivery is counted
in GPUs or in nodes; a tenant's quota is its queue's, or each queue has its own. Where queues lend or
preempt, jobs are admitted by cycles, in the order `fifo` or `priority` and without a backfill.
    policy: {order: srtf, backfill: easy}

P024 a setting that would be ignored
The setting has an effect only together with another one that is not chosen. Nothing is accepted and
ignored. Weights, checkpoints, wishes of the topology and quotas that change need cohorts, preemption or
`policy.sharing`.
    policy: {order: fifo, restart_overhead: 30 s}     # only srtf restarts jobs

P025 file not found
A path in a plan is relative to the plan's folder; a path given by --set to the current folder, then to
the plan's.
    files: {trace: job.csv}       # the file is called jobs.csv

P026 a table that cannot be read
A table is a CSV file with one header row. `columns` maps keys of the plan to columns of the file; `each`
holds what is the same for every row.
    tenants: {table: nodes.csv, columns: {name: vc}}   # the file has no column `vc`

P028 two scenarios set one path
Scenarios that are combined (by `with` or on the command line) must not contradict each other: which one
wins would depend on their order. One path below the other is a contradiction too.
    a: {set: {policy.backfill: none}}
    b: {with: [a], set: {policy.backfill: easy}}

P029 a scenario that changes nothing
Every value that it sets stands in the plan already, or it sets none.
    policy: {order: sjf}
    scenarios:
      short-first: {set: {policy.order: sjf}}

P030 an override of something that is not there
An override (--set, or `set` of a scenario) changes a value or adds a key to a mapping that exists. List
items are named by `name` or by number from 0: deliveries.lot-1.gpus.
    --set site.lab.power='300 kW'     # did you mean `sites.lab.power`?

P031 scenarios in a circle
A scenario is combined with itself through `with`.
    a: {with: [b], ...}
    b: {with: [a], ...}

P042 another version of the plan language
`gpufleet: 1` names the version of the language that the plan is written in. This gpufleet reads version
1.
    gpufleet: 2
"""

explain_codes(_TEXT)
