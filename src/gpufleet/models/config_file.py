"""Reading an architecture from the `config.json` of a model at Hugging Face."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from gpufleet.base.errors import Finding, GpufleetError, Place, did_you_mean, explain_codes, finding
from gpufleet.base.say import say
from gpufleet.models.architecture import Architecture
from gpufleet.models.families import FAMILIES, NAMES, REFUSED, WITHOUT_EFFECT, Family, known_fields

explain_codes(
    """
C020 not the configuration of a model
A configuration is a JSON object with `model_type`, as `config.json` of a model at Hugging Face.
    gpufleet train --config config.json --gpus 512 --product H200 --tokens 10T

C021 a family of models that is not known
gpufleet counts transformers that predict the next token: dense or with experts, with full, windowed, grouped
or latent attention. Layers with a state (Mamba), attention that chooses its tokens and encoders compute
otherwise, and a number for them would be wrong.
    "model_type": "nemotron_h"      # some of its layers carry a state from token to token

C022 a field of the configuration that is not known
A field that is not understood may change the widths, and with them every number. Fields that have no effect
on size and time (dropout, token numbers, rotary settings) are known and left alone.
    "hidden_sizes": 4096      # did you mean `hidden_size`?

C023 a field of the configuration that is missing
Layers, hidden size, heads, inner width and vocabulary must be there; for experts also how many, how wide, and
how many a token takes.
    {"model_type": "llama", "num_hidden_layers": 32}      # `hidden_size` is missing

C024 a width that cannot be
Widths and counts are whole numbers above zero that fit each other: heads are a multiple of the key and value
heads, and no token takes more experts than there are.
    "num_attention_heads": 40, "num_key_value_heads": 12      # 40 / 12 = 3.33
"""
)

_MOST: Final = 10**6
"""No width, vocabulary or count of a published model comes near."""
_PLACES: Final = (
    *("first_k_dense_replace", "moe_layer_start_index", "interleave_moe_layer_step", "decoder_sparse_step"),
    *("moe_layer_interval", "moe_layer_freq"),
)
"""Keys that say where layers with experts stand."""
_WINDOWED: Final = ("sliding_attention", "chunked_attention")


def read_config(path: Path) -> Architecture:
    """The architecture that a `config.json` describes.

    Args:   path: of the file; a model with images or sound is read for its text part.
    Raises: GpufleetError C020 to C024: everything that is wrong, with file and line. OSError if it cannot be
            read.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    return _Reader(str(path), text).read(path.stem if path.stem != "config" else path.resolve().parent.name)


def _lines(text: str) -> dict[str, int]:
    """Line of the last place where a key stands: of nested parts the text part is what counts."""
    found = {}
    for match in re.finditer(r'"([^"\n]+)"\s*:', text):
        found[match[1]] = text.count("\n", 0, match.start()) + 1
    return found


class _Reader:
    """One file and what is wrong in it."""

    def __init__(self, file: str, text: str) -> None:
        self._file, self._text = file, text
        self._line_of = _lines(text)
        self._found: list[Finding] = []
        self._config: dict[str, Any] = {}
        self._family = Family()

    def read(self, name: str) -> Architecture:
        whole = self._object()
        inner = whole.get("text_config")
        self._config = {**_text_of(whole), **inner} if isinstance(inner, Mapping) else whole
        self._family = self._known_family(whole)
        self._complain_of_unknown_fields()
        given = self._widths()
        if not self._found:
            self._check(given)
        if self._found:
            raise GpufleetError(*self._found)
        return Architecture(name=str(self._config.get("_name_or_path") or name), **given)

    def _object(self) -> dict[str, Any]:
        try:
            whole = json.loads(self._text)
        except json.JSONDecodeError as fault:
            says = say("it is no JSON: {fault}", fault=fault.msg)
            self._refuse("C020", says, say("give the `config.json` of a model"), fault.lineno)
        if not isinstance(whole, dict) or not isinstance(whole.get("model_type"), str):
            says = say("it has no `model_type`")
            self._refuse("C020", says, say("give the `config.json` of a model"))
        return dict(whole)

    def _known_family(self, whole: Mapping[str, Any]) -> Family:
        name = str(self._config.get("model_type"))
        for each in (name, str(whole["model_type"])):
            if each in FAMILIES:
                return FAMILIES[each]
        line = self._line_of.get("model_type", 0)
        says = say("`{name}` is not among the families that are read", name=name)
        fix = did_you_mean(name, FAMILIES)
        if name in REFUSED:
            says = say("`{name}` is not counted: {why}", name=name, why=REFUSED[name])
            fix = say("no number would be right; take a transformer of like size")
        return self._refuse("C021", says, fix, line)

    def _refuse(self, code: str, says: str, fix: str, line: int = 0) -> NoReturn:
        raise GpufleetError(finding(code, says, fix, Place(self._file, line)))

    def _note(self, code: str, key: str, says: str, fix: str) -> None:
        self._found.append(finding(code, says, fix, Place(self._file, self._line_of.get(key, 0))))

    def _complain_of_unknown_fields(self) -> None:
        known = known_fields(self._family)
        for key, value in self._config.items():
            if key in known or WITHOUT_EFFECT.fullmatch(key) or value in (None, False, [], {}):
                continue
            says = say("`{key}` is not known, and may change the widths", key=key)
            near = did_you_mean(key, known, limit=0)
            fix = say("delete it if it does not")
            if "`" in near:
                fix = say("{near} delete it if it changes none", near=near)
            self._note("C022", key, says, fix)

    def _number(self, field: str, *, needed: bool = False, default: int = 0) -> int:
        """A whole number above zero (or zero, where it is not needed) by our word for it."""
        keys = NAMES.get(field, (field,))
        key = next((each for each in keys if self._config.get(each) is not None), None)
        if key is None:
            if needed:
                says = say("`{key}` is missing", key=keys[0])
                self._note("C023", "model_type", says, say("add it: every count of this family needs it"))
            return default
        value = self._config[key]
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not (1 if needed else 0) <= value <= _MOST:
            says = say("`{key}` is {value}", key=key, value=json.dumps(value))
            self._note("C024", key, says, say("give a whole number from 1 to {most:,}", most=_MOST))
            return default
        return int(value)

    def _widths(self) -> dict[str, Any]:
        family = self._family
        given: dict[str, Any] = {
            name: self._number(name, needed=True) for name in ("layers", "hidden", "heads", "vocab")
        }
        given["kv_heads"] = self._kv_heads(given["heads"])
        given["head_dim"] = self._number("head_dim")
        given["gated"] = family.gated
        given["bias"] = family.bias
        given["tied"] = bool(self._config.get("tie_word_embeddings", family.tied))
        given["positions"] = self._number("positions") if family.positions else 0
        given["predicted_tokens"] = self._number("predicted_tokens")
        given |= self._experts(given["layers"]) if family.experts else {"ffn": self._ffn(given["hidden"])}
        if family.latent:
            given |= {name: self._number(name, needed=True) for name in ("kv_rank", "rope_dim", "value_dim")}
            given["q_rank"] = self._number("q_rank")
            given["head_dim"] = self._number("latent_dim", needed=True)
        return given | self._windows(given["layers"])

    def _kv_heads(self, heads: int) -> int:
        if self._family.one_kv_head and not self._config.get("new_decoder_architecture"):
            return 1 if self._config.get("multi_query", True) else heads
        return self._number("kv_heads") or heads

    def _ffn(self, hidden: int) -> int:
        """Inner width of a dense layer; the first GPTs leave out four times the hidden size."""
        needed = self._family.gated
        return self._number("ffn", needed=needed) or 4 * hidden

    def _experts(self, layers: int) -> dict[str, int]:
        dense = self._dense_layers(layers)
        own = self._family.expert_ffn == "intermediate_size"  # then dense layers have a key of their own
        ffn = self._number("intermediate_size_mlp" if own else "ffn", needed=dense > 0)
        return {
            "experts": self._number("experts", needed=True),
            "top_k": self._number("top_k", needed=True),
            "expert_ffn": self._number(self._family.expert_ffn, needed=True),
            "shared_experts": self._shared(),
            "shared_ffn": self._number("shared_ffn"),
            "dense_layers": dense,
            "groups_taken": self._groups_taken(),
            "ffn": ffn if dense else 0,
        }

    def _groups_taken(self) -> int:
        """Groups of experts that a token may reach; 0 where it may reach all."""
        groups, taken = self._number("groups"), self._number("groups_taken")
        return taken if 0 < taken < groups else 0

    def _shared(self) -> int:
        """Experts that every token takes; one, where only their width is said."""
        silent = 1 if self._number("shared_ffn") else self._family.shared
        return self._number("shared_experts", default=silent)

    def _dense_layers(self, layers: int) -> int:
        """How many of the layers have no experts; where they stand does not change what is counted."""
        config = self._config
        for key, dense in (("mlp_layer_types", "dense"), ("is_moe_layer", False)):
            if isinstance(config.get(key), list):
                return sum(each == dense for each in config[key])
        if isinstance(config.get("moe_layers"), list):
            return layers - len(config["moe_layers"])
        first, start, step, sparse, interval, frequency = map(self._number, _PLACES)
        every = step or sparse or interval or 1
        last, only = config.get("moe_layer_end_index"), config.get("mlp_only_layers")
        without = only if isinstance(only, list) else []
        end = last + 1 if isinstance(last, int) and last >= 0 else layers
        with_experts = (
            layer
            for layer in range(max(first, start), min(end, layers))
            if (layer + 1) % every == 0 and layer % (frequency or 1) == 0 and layer not in without
        )
        return layers - sum(1 for _ in with_experts)

    def _windows(self, layers: int) -> dict[str, int]:
        config, family = self._config, self._family
        window = self._number("window", default=family.window)
        types, pattern = config.get("layer_types"), config.get("sliding_window_pattern")
        rotary = config.get("no_rope_layers")  # of Llama 4: 1 where the layer attends to a chunk
        off = family.switch and not config.get("use_sliding_window")
        if not window or off or config.get("use_sliding_window") is False:
            return {}
        if isinstance(types, list):
            windowed = sum(each in _WINDOWED for each in types)
        elif isinstance(rotary, list) and rotary:
            windowed = sum(bool(each) for each in rotary)
        elif isinstance(pattern, str) and pattern:
            windowed = sum(pattern[i % len(pattern)] == "L" for i in range(layers - 1))
        elif "use_sliding_window" in config:
            windowed = max(layers - self._number("max_window_layers"), 0)
        else:
            said = self._number("no_rope_layer_interval")
            every = pattern if isinstance(pattern, int) and pattern > 0 else said or family.every
            windowed = 0 if not every else layers if every == 1 else layers - layers // every
        return {"window": window, "windowed_layers": windowed} if windowed else {}

    def _check(self, given: Mapping[str, int]) -> None:
        """What numbers must be to each other."""
        heads, kv, hidden = given["heads"], given["kv_heads"], given["hidden"]
        if heads % kv:
            says = say("{heads} heads cannot share {kv} key and value heads", heads=heads, kv=kv)
            self._note("C024", "num_key_value_heads", says, say("one must be a multiple of the other"))
        if not given["head_dim"] and hidden % heads:
            says = say("{hidden} is no multiple of {heads} heads", hidden=hidden, heads=heads)
            self._note("C024", NAMES["heads"][0], says, say("add `head_dim`"))
        if given.get("top_k", 0) > given.get("experts", 0):
            says = say("a token takes {k} of {n} experts", k=given["top_k"], n=given["experts"])
            self._note("C024", "num_experts_per_tok", says, say("give at most as many as there are"))
        if given.get("dense_layers", 0) >= given["layers"] and given.get("experts"):
            says = say("all {n} layers are dense, none has experts", n=given["layers"])
            self._note("C024", "first_k_dense_replace", says, say("give fewer dense layers"))


def _text_of(whole: Mapping[str, Any]) -> dict[str, Any]:
    """What the outer part of a model with images says of its text part."""
    return {key: whole[key] for key in ("tie_word_embeddings", "_name_or_path") if key in whole}


def known_families() -> Sequence[str]:
    """Every `model_type` that is read, sorted.

    >>> "llama" in known_families(), "nemotron_h" in known_families()
    (True, False)
    """
    return sorted(FAMILIES)
