"""What the codes of own policies mean, and what their functions are told."""

from __future__ import annotations

from typing import Final

from gpufleet.base.errors import explain_codes

FIELDS: Final = {
    "order": {
        "gpus": "GPUs that the job asks for",
        "estimate_s": "run time at speed 1 as the scheduler knows it: limit, or estimate; inf: unknown",
        "limit_s": "its time limit; 0: none",
        "submit_s": "when it became eligible, seconds from the plan's start",
        "priority": "its priority",
        "queue": "its queue; compare it with a name: job.queue == \"training\"",
        "attempts": "how often it has started",
        "preemptions": "how often it has lost its GPUs",
    },
    "placement": {
        "gpus": "GPUs of the whole job",
        "node_gpus": "GPUs of a node here",
        "need": "of a node: GPUs that the job wants on it; of a domain: 0",
        "free": "of a node: its free GPUs; of a domain: 0",
        "near": "of a node: 1 if it is in the domain of which the job took whole nodes last, else 0",
        "left": "of a domain: whole nodes that the job has still to take; of a node: 0",
        "idle": "of a domain: its idle nodes that the job has not taken; of a node: 0",
        "domain_nodes": "nodes of the largest domain here",
    },
}  # fmt: skip
"""What the one parameter of a function has, by kind of policy, in the order in which kernels pass it. All
values are floats."""

explain_codes("""
P120 the function of an own policy is not there
`python` names a function: FILE.py:FUNCTION, the file relative to the plan, or the name of an entry point of
the group `gpufleet.policies` that an installed package registers.
    policy: {order: {python: ranks.py:short_frist}}     # did you mean `short_first`?

P121 the file of an own policy is not Python
The line is where Python stopped reading; the cause is often one line above.
    def order(job)                # the : is missing

P122 an own policy does what it may not
A policy is a formula: numbers, `if`, `for ... in range(...)`, own variables, other functions of the file that
obey the same rules, constants of the file, `min`, `max`, `abs` and functions of `math`. It reads nothing but
its parameter, and changes nothing, so that a run can be repeated from its folder.
    def order(job):
        print(job)                # not possible

P123 an own policy that may not end
A loop is over `range` with numbers that stand in the file, functions do not call themselves, and all loops
together run at most 10,000 times for one question. So every policy ends, and soon.
    while job.gpus > 1: ...       # write `for step in range(10):`

P124 an own policy with the wrong parameters or result
The function has one parameter and returns one number on every way through it.
    def order(job, now): ...      # one parameter
        return job.gpus, 1        # one number

P125 a name that an own policy does not know
The parameter has a few fields, and the file a few constants and functions; queues are called as in the plan.
    return job.gpu                # did you mean `gpus`?

P126 an own policy that cannot be compiled
It obeys the rules, and yet Numba, the compiler, cannot make machine code of it: the parameter as a whole is
used as a number, say.
    return job + 1                # which of its numbers?

P127 an own policy that gives no number
Before a run the function is tried on a spread of made-up jobs or nodes. The result may be infinite, but it
must be a number: a division by zero and the like have none.
    return 1 / job.limit_s        # 0 for a job without a limit
""")
