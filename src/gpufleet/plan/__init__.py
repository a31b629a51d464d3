"""Room plan: what people declare. `gpufleet.plan.load.load_plan` reads it."""

from gpufleet.plan.plan import Plan, Scenario, Source
from gpufleet.plan.policy import PolicyPlan
from gpufleet.plan.sharing import Cohort
from gpufleet.plan.sites import Site
from gpufleet.plan.supply import Delivery, Retirement, System
from gpufleet.plan.tenants import Queue, Tenant
from gpufleet.plan.training import TrainingWorkload
from gpufleet.plan.workloads import CampaignWorkload, ProfileWorkload, TraceWorkload

__all__ = [
    "CampaignWorkload",
    "Cohort",
    "Delivery",
    "Plan",
    "PolicyPlan",
    "ProfileWorkload",
    "Queue",
    "Retirement",
    "Scenario",
    "Site",
    "Source",
    "System",
    "Tenant",
    "TraceWorkload",
    "TrainingWorkload",
]
