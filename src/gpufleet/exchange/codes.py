"""Codes X001 to X013: what can be wrong with a file of another system."""

from __future__ import annotations

from typing import Final

from gpufleet.base.errors import explain_codes

_TEXT: Final = """
X001 the case file cannot be read
The file does not exist, is a folder, is empty, is larger than 64 MiB, or is not UTF-8 text.
    gpufleet admit --cases case.json      # the file is called cases.json

X002 the file is not JSON
The line is where the parser stopped; the cause is often one line above: a comma too many or too few, a quote
or bracket that was never closed.
    {"format": "fleet-quota-cases/1", "cases": [],}

X003 one key twice in an object
JSON tools silently keep the last of two equal keys, so one of them would be ignored.
    {"name": "research", "cohort": "all", "cohort": "labs"}

X004 format or suite of cases is not known
The first keys of a case file say what it is; each case says the suite that its question belongs to.
    {"format": "fleet-quota-cases/1", "cases": [{"id": "a", "suite": "kueue-cycle"}]}

X005 key of the case file is not known
Nothing in a case is ignored: a key that gpufleet does not know could change the decision.
    {"nominal": 8, "borowing_limit": 4}      # did you mean `borrowing_limit`?

X006 key of the case file is missing
Something that has no sensible default was left out.
    {"flavor": "B200", "resources": {"gpu": {"borrowing_limit": 4}}}      # nominal is missing

X007 another kind of value is wanted in the case file
A list stands where an object belongs, text where a number belongs, a word that is none of the possible ones.
    {"count": "8"}      # a number is written without quotes

X008 number of the case file is out of bounds
A quantity or a weight is not negative and is a number; a pod set has at least one pod; a node has whole GPUs.
Amounts of a resource may be fractions: they are counted in whole steps of the smallest, and all of a case
together must stay below 9.2e15 steps, so that nothing is ever rounded.
    {"requests": {"cpu": -2}}

X009 name is not declared in the case
A workload names a queue, an assignment names a flavor, a queue of KAI names its parent, a task names its
node: each must be declared in the same case. Cohorts of Kueue need no declaration: one that is only named
exists without quota.
    {"name": "train", "cluster_queue": "reserach"}      # did you mean `research`?

X010 one name twice in the case
Which of the two is meant cannot be known. Ids of cases are unique in a file; cohorts, queues and workloads
in a case, workloads of Kueue together with their namespace.
    "cluster_queues": [{"name": "a"}, {"name": "a"}]

X011 queues or cohorts go round in a circle
Each has at most one parent, and the way up ends at the top.
    "cohorts": [{"name": "a", "parent": "b"}, {"name": "b", "parent": "a"}]

X012 limit that Kueue refuses
A ClusterQueue or Cohort that stands under no cohort has nobody to borrow from, so only a borrowing limit of
0 can stand there. A ClusterQueue lends at most its nominal quota; a Cohort may lend more, from below.
    {"nominal": 8, "lending_limit": 12}

X013 setting of the case has no effect or is one that Kueue refuses
What it means is clear, so the case is decided. A live Kueue refuses: a lending limit without cohort;
borrowWithinCohort with reclaimWithinCohort Never; a preference of flavors unless both whenCanBorrow and
whenCanPreempt are TryNextFlavor. And a workload may hold quota of a flavor that nobody has any more.
    "preemption": {"reclaimWithinCohort": "Never", "borrowWithinCohort": {"policy": "LowerPriority"}}
"""

explain_codes(_TEXT)
