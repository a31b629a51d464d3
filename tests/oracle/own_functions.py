"""Own policies as users write them: the engine compiles this text, the oracle calls these functions."""

import math

HOUR = 3600
STEP = HOUR / 360


# --- orders


def fifo(job):
    return 0


def priority(job):
    return -job.priority


def sjf(job):
    return job.estimate_s


def small_first(job):
    """Small ones first; ten seconds of waiting are worth a GPU."""
    return job.gpus + job.submit_s / STEP


def come_back(job):
    lost = 40 * job.preemptions
    if job.attempts > 1:
        lost += 15
    return job.submit_s - lost


def by_queue(job):
    if job.queue == "q0":
        return 10.0
    if job.queue in ("q1", "q2") and job.limit_s > 0:
        return -job.gpus
    return _slow(job)


def _slow(job):
    total = 0
    for k in range(3):
        for m in range(1, 3):
            total += k * m + math.sqrt(job.gpus)
    return min(total, job.estimate_s, 50)


# --- placements


def consolidate(place):
    if place.need < place.gpus:
        return -place.free
    return place.free


def best_fit(place):
    return place.free


def spread(place):
    return -place.free - place.idle


def domain_first(place):
    if place.left:
        return place.idle if place.idle >= place.left else 1_000_000 - place.idle
    return place.free - 1_000_000 * place.near


def middle(place):
    return abs(place.free - place.node_gpus / 2) + abs(place.idle - place.domain_nodes / 2)


def away(place):
    if place.left > 2:
        return place.idle
    return 3 * place.near + place.free - place.idle * place.gpus
