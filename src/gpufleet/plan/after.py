"""Dependencies: jobs that are eligible only when those of other workloads have ended."""

from __future__ import annotations

from typing import Annotated

from typing_extensions import override

from gpufleet.base.say import say
from gpufleet.plan.declared import Declared, Key
from gpufleet.plan.kinds import Flag, Kind, Ref, Schema
from gpufleet.plan.reader import Origin, Reader, UnreadableError
from gpufleet.plan.tree import Leaf, Node, Seq


class After(Declared):
    """A workload whose jobs must have ended."""

    workload: Annotated[str, Key(Ref("workload"), "whose jobs must all have ended")]
    any: Annotated[
        bool, Key(Flag(), "however they ended; false: all must be done, as with Slurm's afterok")
    ] = False


class AfterKind(Kind[tuple[After, ...]]):
    """A workload, or a list of workloads; each a name, or a mapping that says how its jobs may have ended."""

    @override
    def read(self, node: Node, path: str, reader: Reader) -> tuple[After, ...]:
        items = node.items if isinstance(node, Seq) else (node,)
        found: dict[str, After] = {}
        ok = bool(items)
        for item in items:
            try:
                after = self._one(item, path, reader)
            except UnreadableError:
                ok = False
                continue
            if after.workload in found:
                says = say("`{path}` names {workload} twice", path=path, workload=after.workload)
                reader.report("P020", item.at, says, say("keep one"))
                ok = False
            found[after.workload] = after
        if not items:
            says = say("`{path}` names no workload", path=path)
            reader.report("P008", node.at, says, say("name a workload, or leave the key out"))
        if not ok:
            raise UnreadableError(path)
        return tuple(found.values())

    def _one(self, node: Node, path: str, reader: Reader) -> After:
        if isinstance(node, Leaf):
            after = After(line=node.at, workload=Ref("workload").read(node, path, reader))
        else:
            after = After.from_node(node, path, reader)
        reader.origins[path] = Origin(node.at)
        return after

    @override
    def schema(self) -> Schema:
        one: Schema = {"anyOf": [Ref("workload").short_schema(), {"$ref": f"#/$defs/{After.__name__}"}]}
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}
