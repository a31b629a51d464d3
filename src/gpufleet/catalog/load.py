"""The catalogue: facts as data, and what the names that people write mean."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal, NamedTuple, NoReturn, TypeVar

from gpufleet.base.errors import GpufleetError, explain_code, finding
from gpufleet.base.say import Said, say
from gpufleet.catalog.rows import (
    FOLDER,
    Country,
    ExportChip,
    ExportRule,
    Gpu,
    Grid,
    ModelRow,
    Price,
    Row,
    SystemRow,
    read,
)

Kind = Literal["product", "system", "model"]
_KINDS = {"product": say("product"), "system": say("system"), "model": say("model")}
_LISTINGS = {"product": "gpus", "system": "systems", "model": "models"}

explain_code(
    "C001",
    "a name that the catalogue does not have",
    "A product is one kind of GPU, a system is what is bought: nodes of such GPUs, a model is one published "
    "transformer. The catalogue has a fixed list of each; capitals, spaces and hyphens do not matter. "
    "`gpufleet catalog gpus` (or systems, or models) prints it.",
    "`system: DGX B20` is unknown, did you mean DGX-B200? A system of your own goes into the plan's "
    "`systems:`.",
)
explain_code(
    "C002",
    "a name that may mean more than one thing",
    "A short name is read as the SXM or per-GPU form, and this is said. Where even then more than one row is "
    "left, gpufleet does not choose, because the rows differ in memory, power or rate.",
    "`A100` has 40 or 80 GB: write A100-SXM4-40GB or A100-SXM4-80GB.",
)

explain_code(
    "C040",
    "a country that the catalogue does not have",
    "Export law reads in which Country Groups a destination or a headquarters is. A country without a row "
    "has no groups, and a guess could turn a ban into a permission. `gpufleet catalog countries` prints all.",
    "gpufleet export-check H20 --to UK      # did you mean GB (United Kingdom)?",
)

_VENDORS = re.compile(
    r"^\s*(?:(?:nvidia|amd|intel|google|aws|huawei|cambricon|rebellions|furiosa(?:ai)?|tesla|geforce|radeon"
    r"|instinct)\s+)+",
    re.IGNORECASE,
)


class Resolved(NamedTuple):
    """What a name means: a row's id, and what the reader should be told about the choice."""

    id: str
    note: str | None


class _Meaning(NamedTuple):
    """What a written name may mean: one id, or several and then the name is refused."""

    name: str
    ids: tuple[str, ...]
    note: str | None
    refused: bool


R = TypeVar("R", bound=Row)


def _table(kind: type[R]) -> Mapping[str, R]:
    return MappingProxyType({row.id: row for row in read(kind)})


@cache
def gpus() -> Mapping[str, Gpu]:
    """All products by id.

    >>> gpus()["H100-SXM5-80GB"].memory_gb
    80.0
    """
    return _table(Gpu)


@cache
def systems() -> Mapping[str, SystemRow]:
    """All systems by id.

    >>> row = systems()["GB200-NVL72"]
    >>> row.product, row.gpus_per_node, row.nodes_per_domain
    ('GB200', 4, 18)
    """
    return _table(SystemRow)


@cache
def prices() -> Mapping[str, Price]:
    """All prices by row number.

    >>> [(p.value, p.unit) for p in prices().values() if p.product == "MI300X"]
    [(15000.0, 'USD/GPU')]
    """
    return _table(Price)


@cache
def grids() -> Mapping[str, Grid]:
    """All facts about tariffs, carbon and PUE, by row number.

    >>> [(g.value, g.unit) for g in grids().values() if (g.country, g.kind) == ("KR", "carbon")]
    [(0.4173, 'kgCO2e/kWh')]
    """
    return _table(Grid)


@cache
def countries() -> Mapping[str, Country]:
    """All destinations by ISO code, with the Country Groups of US export law.

    >>> row = countries()["VN"]
    >>> row.name, row.d1, row.d5
    ('Vietnam', 1, 0)
    """
    return _table(Country)


@cache
def export_chips() -> Mapping[str, ExportChip]:
    """What export law reads of chips, by the name that the rules use.

    >>> export_chips()["H20"].tpp
    2368.0
    """
    return _table(ExportChip)


@cache
def export_rules() -> Mapping[str, ExportRule]:
    """All rules of export law by id, in the order of the file.

    >>> export_rules()["US-2023-10-17"].citation
    '88 FR 73458'
    """
    return _table(ExportRule)


def resolve_country(name: str) -> str:
    """The ISO code of a country that is written as code or name.

    Raises: GpufleetError C040 if the catalogue does not have it.

    >>> resolve_country("cn"), resolve_country("Vietnam")
    ('CN', 'VN')
    """
    rows = countries()
    if name in rows:
        return name
    by_name = {key.casefold(): row.id for row in rows.values() for key in (row.id, row.name)}
    if (found := by_name.get(name.strip().casefold())) is not None:
        return found
    initials = {"".join(w[0] for w in row.name.split()).casefold(): row.id for row in rows.values()}
    near = [initials[name.casefold()]] if name.casefold() in initials else []
    if not near and len(name.strip()) > 2:
        near = [by_name[key] for key in difflib.get_close_matches(name.casefold(), by_name, n=1, cutoff=0.7)]
    meant = say("did you mean {id} ({name})? ", id=near[0], name=rows[near[0]].name) if near else ""
    says = say("{name!r} is none of the {n:,} countries of the catalogue", name=name, n=len(rows))
    fix = say("{meant}`gpufleet catalog countries` lists all", meant=meant)
    raise GpufleetError(finding("C040", says, fix))


def resolve_chip(name: str) -> ExportChip:
    """What export law reads of the chip that a name means: a name of the rules, else of a product.

    Raises: GpufleetError C001 if neither is known, C002 if it may mean several products.

    >>> resolve_chip("RTX 4090D").tpp, resolve_chip("H100").id, resolve_chip("A100-SXM4-80GB").id
    (4707.0, 'H100 SXM5', 'A100 SXM4 80GB')
    """
    by_name = _chip_names()
    if (row := find_chip(name)) is not None:
        return row
    if _key(name) not in _meanings("product"):
        near = difflib.get_close_matches(_key(name), by_name, n=3, cutoff=0.6)
        ids = tuple(dict.fromkeys(by_name[key].id for key in near))
        _refuse_unnamed("product", name, ids, "export-chips")
    return by_name[_key(resolve_product(name).id)]


def find_chip(name: str) -> ExportChip | None:
    """As `resolve_chip`; None where that refuses.

    >>> find_chip("nvidia h100 sxm5 80gb").id, find_chip("A100"), find_chip("my own")
    ('H100 SXM5', None, None)
    """
    by_name = _chip_names()
    meaning = _meanings("product").get(_key(name))
    if (row := by_name.get(_key(name))) is not None or meaning is None or meaning.refused:
        return row
    return by_name[_key(meaning.ids[0])]


@cache
def _chip_names() -> Mapping[str, ExportChip]:
    """Chips by the key of their product's name and, where the two differ, of the name in the rules."""
    chips = export_chips().values()
    return {_key(name): row for row in chips for name in (row.product, row.id) if name}


def models() -> Mapping[str, ModelRow]:
    """All published transformers by id.

    >>> row = models()["deepseek-v3"]
    >>> row.experts, row.top_k, row.kv_rank, row.params_b
    (256, 8, 512, 671.0)
    """
    return _table(ModelRow)


def resolve_product(name: str) -> Resolved:
    """The product that a name means.

    Args:    name: as people write it; a short name means the SXM or per-GPU form.
    Returns: the id, and a note if the choice should be said.
    Raises:  GpufleetError C001 if unknown, C002 if it may mean several; both name candidates.

    >>> resolve_product("NVIDIA H100 SXM5 80GB")
    Resolved(id='H100-SXM5-80GB', note=None)
    >>> resolve_product("H200").note
    'H200 is read as H200-SXM-141GB: the SXM form; the card is H200-NVL-141GB'
    >>> resolve_product("A100")
    Traceback (most recent call last):
    gpufleet.base.errors.GpufleetError: error C002 ...
    """
    return _resolve("product", name)


def resolve_system(name: str) -> Resolved:
    """The system that a name means; as resolve_product.

    >>> resolve_system("GB200 NVL72").id
    'GB200-NVL72'
    """
    return _resolve("system", name)


def resolve_model(name: str) -> Resolved:
    """The published transformer that a name means; as resolve_product.

    A name that only begins the names of several is refused; the address of a model at Hugging Face is a name.

    >>> resolve_model("Llama 3.1 405B").id, resolve_model("LGAI-EXAONE/EXAONE-4.0-32B").id
    ('llama-3.1-405b', 'exaone-4.0-32b')
    >>> resolve_model("GPT-3").note
    'GPT-3 is read as gpt-3-175b: the only one whose name begins so'
    """
    return _resolve("model", name)


def other_kind(product: str, words: str | None) -> str | None:
    """The architecture of a product that is none of those that some words name; None if it is, or not known.

    A generation holds those that are called after it: B300 ("Blackwell Ultra") is Blackwell.

    Args: product: an id; words: of a promise, such as "Blackwell", "NVIDIA Blackwell GPUs" or "B200".

    >>> other_kind("H200-SXM-141GB", "Blackwell"), other_kind("B300-SXM", "Blackwell")
    ('Hopper', None)
    >>> other_kind("H200-SXM-141GB", "any"), other_kind("B300-SXM", "B200")
    (None, 'Blackwell Ultra')
    """
    row = gpus().get(product)
    key = re.sub(r"gpus?$", "", _key(words or ""))
    if row is None or not key:
        return None
    of_that_name = any(_key(each.architecture) == key for each in gpus().values())
    if of_that_name:
        return None if f"{row.architecture} ".startswith(_generation(key)) else row.architecture
    meaning = _meanings("product").get(key)
    return None if meaning is None or product in meaning.ids else row.architecture


def _generation(key: str) -> str:
    """A generation as the catalogue writes it, with a space: what its members' generations start with."""
    return next(f"{gpu.architecture} " for gpu in gpus().values() if _key(gpu.architecture) == key)


def _key(name: str) -> str:
    """A name without maker, capitals, spaces and punctuation: what two ways of writing share.

    >>> _key("NVIDIA A100 SXM4 40 GB")
    'a100sxm440gb'
    """
    return re.sub(r"[^a-z0-9]", "", _VENDORS.sub("", name).casefold())


@cache
def _meanings(kind: Kind) -> Mapping[str, _Meaning]:
    """Every name that the catalogue knows, by key: names of rows, then aliases, then generations."""
    meanings: dict[str, _Meaning] = {}
    generations: dict[str, list[str]] = {}
    if kind == "product":
        for gpu in gpus().values():
            generations.setdefault(gpu.architecture, []).append(gpu.id)
            for name in (gpu.id, gpu.product):
                meanings[_key(name)] = _Meaning(gpu.id, (gpu.id,), None, refused=False)
    elif kind == "system":
        for row in systems().values():
            for name in (row.id, row.system):
                meanings[_key(name)] = _Meaning(row.id, (row.id,), None, refused=False)
    else:
        for model in models().values():
            for name in (model.id, model.model, *_addresses(model)):
                meanings[_key(name)] = _Meaning(model.id, (model.id,), None, refused=False)
    with (FOLDER / "aliases.csv").open(encoding="utf-8", newline="") as file:
        for alias in csv.DictReader(file):
            if alias["kind"] == kind:
                ids = (alias["id"] or alias["candidates"]).split("|")
                refused = not alias["id"]
                meanings[_key(alias["name"])] = _Meaning(
                    alias["name"], tuple(ids), Said(alias["note"]) if alias["note"] else None, refused
                )
    for name, members in generations.items():
        unclear = _Meaning(name, tuple(members), say("this is a generation, not a product"), refused=True)
        meanings.setdefault(_key(name), unclear)
    return meanings


def _addresses(model: ModelRow) -> tuple[str, ...]:
    """What a model is called at Hugging Face, with and without its owner.

    >>> _addresses(models()["llama-2-7b"])
    ('meta-llama/Llama-2-7b-hf', 'Llama-2-7b-hf')
    """
    _, found, address = (model.source or "").partition("huggingface.co/")
    return (address, address.rpartition("/")[2]) if found else ()


def _begun(name: str) -> _Meaning | None:
    """The models that a name may mean which only begins theirs. Products have aliases for that."""
    key = _key(name)
    ids = [
        row.id for row in models().values() if any(_key(each).startswith(key) for each in (row.id, row.model))
    ]
    if len(key) < 3 or not ids:
        return None
    only = say("the only one whose name begins so")
    return _Meaning(name, tuple(ids), only if len(ids) == 1 else say("several begin so"), len(ids) > 1)


def _resolve(kind: Kind, name: str) -> Resolved:
    meaning = _meanings(kind).get(_key(name))
    if meaning is None and kind == "model":
        bare = name.rpartition("/")[2]  # an address at Hugging Face, without its owner
        meaning = _meanings(kind).get(_key(bare)) or _begun(bare)
    if meaning is None:
        _refuse_unknown(kind, name)
    if meaning.refused:
        _refuse_unclear(kind, name, meaning.ids, meaning.note)
    row_id = meaning.ids[0]
    if not meaning.note:
        return Resolved(row_id, None)
    if name == row_id:
        return Resolved(row_id, say("{name}: {note}", name=name, note=meaning.note))
    note = say("{name} is read as {row}: {note}", name=name, row=row_id, note=meaning.note)
    return Resolved(row_id, note)


def _refuse_unknown(kind: Kind, name: str) -> NoReturn:
    """Says what the name may be instead: several names in one, a name of the other kind, a slip."""
    parts = [_meanings(kind).get(_key(part)) for part in re.split(r"[+/|,]", name)]
    if len(parts) > 1 and any(parts):
        named = (i for part in parts if part for i in part.ids)
        _refuse_unclear(kind, name, named, say("it holds {names} names", names=len(parts)))
    if kind == "product" and (system := _meanings("system").get(_key(name))):
        held = (p for i in system.ids if (p := systems()[i].product))
        _refuse_unclear(kind, name, held, say("this is a system"))
    if kind == "system" and (product := _meanings("product").get(_key(name))):
        holding = (row.id for row in systems().values() if row.product in product.ids)
        _refuse_unclear(kind, name, holding, say("this is a product"))
    near = difflib.get_close_matches(_key(name), _meanings(kind), n=3, cutoff=0.6)
    ids = tuple(dict.fromkeys(i for key in near for i in _meanings(kind)[key].ids))
    _refuse_unnamed(kind, name, ids, "gpus" if kind == "product" else "systems")


def _refuse_unnamed(kind: Kind, name: str, ids: tuple[str, ...], listing: str) -> NoReturn:
    fix = say("did you mean {either}? ", either=_either(ids)) if ids else ""
    says = say("{name!r} is no {kind} of the catalogue", name=name, kind=_KINDS[kind])
    raise GpufleetError(
        finding(
            "C001", says, say("{fix}`gpufleet catalog {listing}` lists all", fix=fix, listing=_LISTINGS[kind])
        )
    )


def _refuse_unclear(kind: Kind, name: str, candidates: Iterable[str], why: str | None) -> NoReturn:
    ids = tuple(dict.fromkeys(candidates))
    if not ids:
        fix = say("write the id of a {kind}", kind=_KINDS[kind])
    elif len(ids) == 1:
        fix = say("write {id} if you mean that", id=_either(ids))
    else:
        fix = say("write {either}", either=_either(ids))
    says = say("{name!r} does not say which {kind} it means", name=name, kind=_KINDS[kind])
    if why:
        says = say("{says}: {why}", says=says, why=why)
    raise GpufleetError(finding("C002", says, fix))


def _either(ids: tuple[str, ...]) -> str:
    """A list for reading.

    >>> _either(("A", "B", "C"))
    'A, B or C'
    """
    return ids[0] if len(ids) == 1 else say("{names:, } or {last}", names=ids[:-1], last=ids[-1])
