"""Transformers as numbers: dense or mixture of experts, and what they hold and compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """A decoder-only transformer.

    Widths are in elements. ``kv_heads`` fewer than ``heads`` is grouped-query attention. With ``kv_rank`` the
    attention is multi-head latent (MLA, DeepSeek): queries through ``q_rank`` (0: directly), keys and values
    through ``kv_rank``, heads of ``head_dim`` without and ``rope_dim`` with positions, values of
    ``value_dim``. With ``experts`` every layer after the first ``dense_layers`` has a router, ``experts`` of
    width ``expert_ffn`` of which each token takes ``top_k``, and ``shared_experts`` that all take.

    >>> tiny = Architecture(name="tiny", layers=2, hidden=8, heads=2, ffn=32, vocab=100)
    >>> tiny.kv_heads, tiny.head_dim, tiny.params_total
    (2, 4, 3688)
    """

    name: str
    layers: int
    hidden: int
    heads: int
    vocab: int
    kv_heads: int = 0  # 0: as many as heads
    head_dim: int = 0  # 0: hidden / heads
    ffn: int = 0  # of dense layers
    gated: bool = True
    tied: bool = False
    positions: int = 0  # rows of a learned table of positions
    bias: bool = False
    experts: int = 0
    top_k: int = 0
    shared_experts: int = 0
    expert_ffn: int = 0
    shared_ffn: int = 0  # width of one shared expert; 0: expert_ffn
    dense_layers: int = 0  # before the first layer of experts
    groups_taken: int = 0  # groups of experts that a token may reach (DeepSeek: topk_group); 0: all
    q_rank: int = 0
    kv_rank: int = 0
    rope_dim: int = 0
    value_dim: int = 0  # 0: head_dim
    window: int = 0  # tokens that a windowed layer sees; 0: none is windowed
    windowed_layers: int = 0
    predicted_tokens: int = 0  # extra layers that predict further tokens (MTP), each a layer and the logits

    def __post_init__(self) -> None:
        for field, value in (
            ("kv_heads", self.kv_heads or self.heads),
            ("head_dim", self.head_dim or self.hidden // self.heads),
            ("shared_ffn", self.shared_ffn or self.expert_ffn),
        ):
            object.__setattr__(self, field, value)
        object.__setattr__(self, "value_dim", self.value_dim or self.head_dim)

    @property
    def moe_layers(self) -> int:
        """Layers with experts."""
        return self.layers - self.dense_layers if self.experts else 0

    @property
    def query_dim(self) -> int:
        """Width of a query or key of one head, with what carries positions."""
        return self.head_dim + (self.rope_dim if self.kv_rank else 0)

    def linears(self) -> tuple[Linear, ...]:
        """The linear layers, without embeddings and logits.

        >>> gpt = Architecture(name="g", layers=3, hidden=8, heads=2, ffn=32, vocab=9, gated=False)
        >>> [(each.part, each.inputs, each.outputs, each.layers) for each in gpt.linears()]
        [('qkv', 8, 24, 3), ('out', 8, 8, 3), ('up', 8, 32, 3), ('down', 32, 8, 3)]
        """
        return (*self._attention_linears(), *self._dense_linears(), *self._expert_linears())

    def _attention_linears(self) -> tuple[Linear, ...]:
        n, h = self.layers + self.predicted_tokens, self.hidden
        out = Linear("out", self.heads * self.value_dim, h, n, "row")
        if not self.kv_rank:
            return (Linear("qkv", h, (self.heads + 2 * self.kv_heads) * self.head_dim, n, "column"), out)
        queries = self.heads * self.query_dim
        down = Linear("latent", h, self.q_rank + self.kv_rank + self.rope_dim, n, "whole")
        query = Linear("query", self.q_rank or h, queries, n, "column")
        key = Linear("key_value", self.kv_rank, self.heads * (self.head_dim + self.value_dim), n, "column")
        return (down, query, key, out)

    def _dense_linears(self) -> tuple[Linear, ...]:
        n = self.layers - self.moe_layers + (0 if self.experts else self.predicted_tokens)
        if n == 0:
            return ()
        up = (2 if self.gated else 1) * self.ffn
        return (Linear("up", self.hidden, up, n, "column"), Linear("down", self.ffn, self.hidden, n, "row"))

    def _expert_linears(self) -> tuple[Linear, ...]:
        if not self.experts:
            return ()
        n, h, gate = self.moe_layers + self.predicted_tokens, self.hidden, 2 if self.gated else 1
        shared = self.shared_experts * self.shared_ffn
        all_take = (
            (Linear("shared_up", h, gate * shared, n, "column"), Linear("shared_down", shared, h, n, "row"))
            if shared
            else ()
        )
        return (
            Linear("router", h, self.experts, n, "whole"),
            *all_take,
            Linear("expert_up", h, gate * self.expert_ffn, n, "expert", self.experts, self.top_k),
            Linear("expert_down", self.expert_ffn, h, n, "expert", self.experts, self.top_k),
        )

    @property
    def params_linear(self) -> int:
        """Parameters of the linear layers of all layers, every expert counted."""
        return sum(each.params for each in self.linears())

    @property
    def params_embedding(self) -> int:
        """Parameters of the tables of tokens and positions; the logits' own table too, unless tied."""
        return self.hidden * (self.vocab * (1 if self.tied else 2) + self.positions)

    @property
    def params_small(self) -> int:
        """Parameters of norms and biases."""
        layers = self.layers + self.predicted_tokens
        norms = (2 * layers + 1) * self.hidden * (2 if self.bias else 1)
        latent = layers * (self.q_rank + self.kv_rank) if self.kv_rank else 0
        biases = sum(each.outputs * each.copies * each.layers for each in self.linears()) if self.bias else 0
        joins = self.predicted_tokens * (2 * self.hidden + 2) * self.hidden  # two inputs to one, two norms
        return norms + latent + biases + joins

    @property
    def params_total(self) -> int:
        """All parameters, embeddings and logits too."""
        return self.params_linear + self.params_embedding + self.params_small

    @property
    def params_active(self) -> int:
        """Parameters that a token meets: all but the experts that it does not take."""
        idle = sum(each.params - each.params_active for each in self.linears())
        return self.params_total - idle

    def attention_pairs(self, seq_len: float) -> float:
        """Pairs of query and key that causal attention needs for one sequence, all layers.

        >>> Architecture(name="x", layers=1, hidden=8, heads=1, ffn=8, vocab=9).attention_pairs(4)
        10.0
        """
        full = seq_len * (seq_len + 1) / 2
        wide = min(self.window or seq_len, seq_len)
        windowed = wide * (wide + 1) / 2 + (seq_len - wide) * wide
        layers = self.layers + self.predicted_tokens
        return float((layers - self.windowed_layers) * full + self.windowed_layers * windowed)

    def flops_per_token(self, seq_len: int) -> float:
        """Model FLOPs of training, per token: forward and twice that backward, nothing computed again.

        Counted are multiplications and additions of the linear layers (of the experts that a token takes), of
        the logits, and of causal attention (each query with the keys that it may see). Not counted: looking
        up embeddings, norms, softmax, what recomputation adds.

        Args: seq_len: tokens of a sequence.

        >>> x = Architecture(name="x", layers=1, hidden=8, heads=1, ffn=8, vocab=10, gated=False)
        >>> x.flops_per_token(1) == 6 * (8 * 24 + 8 * 8 + 2 * 8 * 8 + 8 * 10) + 3 * 2 * (8 + 8)
        True
        """
        linear = sum(2 * each.params_active for each in self.linears())
        logits = 2 * self.hidden * self.vocab * (1 + self.predicted_tokens)
        joins = 2 * self.predicted_tokens * 2 * self.hidden**2
        per_pair = 2 * self.heads * (self.query_dim + self.value_dim)
        attention = per_pair * self.attention_pairs(seq_len) / seq_len
        return 3.0 * (linear + logits + joins + attention)


class Linear(NamedTuple):
    """One kind of linear layer: how wide, in how many layers, and how it is cut.

    ``cut`` is ``column`` or ``row`` (by tensor parallelism), ``whole`` (on every GPU), or ``expert`` (by
    expert parallelism). Of ``copies`` experts each token takes ``taken``.
    """

    part: str
    inputs: int
    outputs: int
    layers: int
    cut: str
    copies: int = 1
    taken: int = 1

    @property
    def params(self) -> int:
        """Of all layers and copies."""
        return self.inputs * self.outputs * self.layers * self.copies

    @property
    def params_active(self) -> int:
        """Of all layers and the copies that a token meets."""
        return self.inputs * self.outputs * self.layers * self.taken
