"""What a workload by profile is made of: the profile, how much of it over time, and its scale."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

from typing_extensions import override

from gpufleet.base.errors import GpufleetError, explain_code, nearest
from gpufleet.base.say import say
from gpufleet.plan.declared import Declared, Key, PartList, Sourced
from gpufleet.plan.kinds import Count, Kind, Number, Schema, Text
from gpufleet.plan.moments import Moment
from gpufleet.plan.reader import Reader, UnreadableError
from gpufleet.plan.steps import dated
from gpufleet.plan.tree import Node, Seq

Steps = tuple[tuple[int, float], ...]

NO_DEMAND: Final = explain_code(
    "P070",
    "a workload that asks for nothing",
    "A workload by profile has an offered `load`, or `gpu_hours_per_month`; without any of it there are no "
    "jobs. In a list of steps some may be 0, but not all.",
    "workloads: {research: {kind: profile, profile: philly, queue: research, load: 0}}",
).code


class ProfileRef(Text):
    """A profile: the name of one that ships with gpufleet, a key of `files`, or a path."""

    wants = say("the name of a profile, or its file")

    @override
    def read(self, node: Node, path: str, reader: Reader) -> str | Path:  # type: ignore[override]
        from gpufleet.catalog.profiles import load_profile, profile_names

        word = super().read(node, path, reader)
        named: str | Path = word
        near = nearest(Path(word).stem, profile_names())
        if near and word.endswith(".json") and not (reader.root / word).exists():
            at, says = reader.origins[path].at, say("there is no file {file}", file=reader.root / word)
            raise reader.refuse("P025", at, says, say("did you mean `{near}`?", near=near))
        if word in reader.known.get("file", ()) or (word not in profile_names() and {*"./"} & {*word}):
            named = reader.file(word, reader.origins[path].at)
        try:
            load_profile(named)
        except GpufleetError as error:
            if isinstance(named, str):
                raise reader.pass_on(error, reader.origins[path].at) from error
            reader.findings += [found for found in error.findings if found not in reader.findings]
            raise UnreadableError(path) from error
        return named

    @override
    def short_schema(self) -> Schema:
        says = say("A profile that ships with gpufleet, a key of `files`, or a path relative to the plan.")
        return {"type": "string", "description": says, "examples": ["philly"]}


class DemandStep(Sourced):
    """What a workload asks for from a date on."""

    from_: Annotated[datetime, Key(Moment(), "from when; a bare date is in the plan's zone", "from")]
    value: Annotated[float, Key(Number(most=1e12), "how much, until the next step; 0: nothing")]


class DemandSteps(Kind[Steps]):
    """A number, or a list of steps. Read as ((seconds from start, value), ...); 0 before the first step."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> Steps:
        if not isinstance(node, Seq):
            steps: Steps = ((0, Number(most=1e12).read(node, path, reader)),)
        else:
            parts = PartList(DemandStep).read(node, path, reader)
            if not parts:
                fix = say("write how much is asked for, or delete the workload")
                raise reader.refuse(NO_DEMAND, node.at, say("the list of steps is empty"), fix)
            steps = dated(parts, reader)
        if not any(value for _, value in steps):
            says = say("`{path}` is 0: no job ever comes", path=path)
            fix = say("write how much is asked for, or delete the workload")
            raise reader.refuse(NO_DEMAND, node.at, says, fix)
        return steps

    @override
    def schema(self) -> Schema:
        return {"anyOf": [Number(most=1e12).schema(), PartList(DemandStep).schema()]}


class Scale(Declared):
    """How jobs differ from those of the profile."""

    gpus: Annotated[
        float, Key(Number(above=True, most=1e4), "times the GPUs of a job, rounded, at least 1 GPU")
    ] = 1.0
    run_time: Annotated[float, Key(Number(above=True, most=1e4), "times the run time of a job")] = 1.0
    most_gpus: Annotated[
        int | None, Key(Count("GPUs", least=1), "no job has more GPUs than this; left out: no limit")
    ] = None
