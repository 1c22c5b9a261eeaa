"""What reads sequences of tokens: a GRU, or attention.

Sequences lie end to end, as in the batch; only attention on a CPU pads, among those of like length.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

HEAD = 32
"""Width of an attention head."""


@dataclass(frozen=True)
class Sequences:
    """The owner of each token: one per example, then the events in order.

    Attributes:
        example_X: Example of each token, int64.
        position_X: Place of each token in its sequence, int64.
        lengths_B: Tokens of each example, at least 1.
    """

    example_X: torch.Tensor
    position_X: torch.Tensor
    lengths_B: torch.Tensor

    @classmethod
    def of(cls, example_M: torch.Tensor, examples: int) -> "Sequences":
        """The sequences of a batch.

        Examples:
            >>> sequences = Sequences.of(torch.tensor([0, 0, 2]), 3)
            >>> sequences.position_X.tolist(), sequences.lengths_B.tolist()
            ([0, 0, 0, 1, 2, 1], [3, 1, 2])
        """
        events_B = torch.bincount(example_M, minlength=examples)
        before_B = events_B.cumsum(0) - events_B
        place_M = torch.arange(len(example_M), device=example_M.device)
        position_M = place_M - before_B.index_select(0, example_M) + 1
        example_B = torch.arange(examples, device=example_M.device)
        return cls(torch.cat([example_B, example_M]), torch.cat([example_B * 0, position_M]), events_B + 1)


class Recurrent(nn.Module):
    """A GRU over all sequences at once, longest first.

    So each step is a range of tokens.

    Args:
        width: Length D of a token and of the state.
        layers: Layers.

    Shape:
        `(X, D)` tokens → `(B, D)`.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.gru = nn.GRU(width, width, layers)
        self.norm = nn.LayerNorm(width)

    def forward(self, token_XD: torch.Tensor, sequences: Sequences) -> torch.Tensor:
        """See Shape above."""
        lengths_B = sequences.lengths_B
        rank_B = _inverse(torch.argsort(lengths_B, descending=True, stable=True))
        # How many sequences reach each step.
        reach_L = len(lengths_B) - torch.bincount(lengths_B).cumsum(0)[:-1]
        before_L = reach_L.cumsum(0) - reach_L
        place_X = before_L.index_select(0, sequences.position_X) + rank_B.index_select(0, sequences.example_X)
        step_XD = token_XD.index_select(0, _inverse(place_X))
        if step_XD.is_cuda:
            state_XD = self.gru(PackedSequence(step_XD, reach_L.cpu()))[0].data
        else:
            state_XD = self._states(step_XD, reach_L)
        last_B = before_L.index_select(0, lengths_B - 1) + rank_B
        return cast(torch.Tensor, self.norm(state_XD.index_select(0, last_B)))

    def _states(self, token_XD: torch.Tensor, reach_L: torch.Tensor) -> torch.Tensor:
        for into, within, into_bias, within_bias in self.gru.all_weights:
            gate_XG = functional.linear(token_XD, into, into_bias)
            states = _Recurrence.apply(gate_XG, within, within_bias, reach_L)  # type: ignore[no-untyped-call]
            token_XD = cast(torch.Tensor, states)
        return token_XD


class _Recurrence(torch.autograd.Function):
    """The states of a GRU layer, from what the tokens say to its gates; on a CPU.

    torch's own backward pass fills a tensor of the size of all tokens at every step, quadratic in the number
    of steps. Here one goes through the steps with what must be done in order, and does all else at once.

    Source: Cho et al. (2014), Learning phrase representations using RNN encoder-decoder, with the reset gate
        after the product, as `torch.nn.GRU`.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # type: ignore[untyped-decorator]
    def forward(
        ctx: Any, gate_XG: torch.Tensor, weight_GD: torch.Tensor, bias_G: torch.Tensor, reach_L: torch.Tensor
    ) -> torch.Tensor:
        """States, shape (X, D), of gates in the order reset, update, new."""
        width = weight_GD.shape[1]
        state_XD = gate_XG.new_empty(len(gate_XG), width)
        hidden_XG, gate_XG = torch.empty_like(gate_XG), gate_XG.clone()
        before_bD = gate_XG.new_zeros(int(reach_L[0]), width)
        steps = (torch.split(x, reach_L.tolist()) for x in (gate_XG, hidden_XG, state_XD))
        for gate, hidden, state in zip(*steps, strict=True):
            before_bD = before_bD[: len(state)]
            torch.addmm(bias_G, before_bD, weight_GD.T, out=hidden)
            reset_update = gate[:, : 2 * width].add_(hidden[:, : 2 * width]).sigmoid_()
            new = gate[:, 2 * width :].addcmul_(reset_update[:, :width], hidden[:, 2 * width :]).tanh_()
            before_bD = torch.lerp(new, before_bD, reset_update[:, width:], out=state)
        ctx.save_for_backward(gate_XG, hidden_XG[:, 2 * width :], state_XD, weight_GD, reach_L)
        return state_XD

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad_XD: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of gates, weights and biases."""
        gate_XG, hidden_XD, state_XD, weight_GD, reach_L = ctx.saved_tensors
        reset_XD, update_XD, new_XD = gate_XG.chunk(3, dim=1)
        first, rest = int(reach_L[0]), torch.arange(int(reach_L[0]), len(state_XD))
        earlier_XD = torch.zeros_like(state_XD)
        earlier_XD[first:] = state_XD.index_select(0, rest - reach_L[:-1].repeat_interleave(reach_L[1:]))
        # How the gates' sums change the state, for a change of 1 of the state.
        new_slope_XD = (1 - update_XD) * (1 - new_XD**2)
        slope_XGD = torch.stack(
            [
                new_slope_XD * hidden_XD * reset_XD * (1 - reset_XD),
                (earlier_XD - new_XD) * update_XD * (1 - update_XD),
                new_slope_XD * reset_XD,
            ],
            dim=1,
        )
        grad_XD = grad_XD.clone()
        steps = [torch.split(x, reach_L.tolist()) for x in (grad_XD, slope_XGD, update_XD)]
        carried_bD = grad_XD[:0]
        for grad, slope, update in zip(*(reversed(parts) for parts in steps), strict=True):
            grad[: len(carried_bD)] += carried_bD
            slope *= grad[:, None]
            carried_bD = torch.addmm(grad * update, slope.flatten(1), weight_GD)
        hidden_grad_XG = slope_XGD.flatten(1)
        weight_grad_GD = hidden_grad_XG.T @ earlier_XD
        gate_grad_XG = torch.cat([hidden_grad_XG[:, : -new_XD.shape[1]], grad_XD * new_slope_XD], dim=1)
        return gate_grad_XG, weight_grad_GD, hidden_grad_XG.sum(0), None


class Transformer(nn.Module):
    """Pre-norm attention layers over each sequence, all of it history and visible.

    The vector is what stands at the first token; the last layer computes only that.

    Args:
        width: Length D of a token, a multiple of 32.
        layers: Layers.

    Shape:
        `(X, D)` tokens → `(B, D)`.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(AttentionLayer(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, token_XD: torch.Tensor, sequences: Sequences) -> torch.Tensor:
        """See Shape above."""
        # Shortest first: like lengths are then neighbours.
        shortest_first_B = torch.argsort(sequences.lengths_B, stable=True)
        rank_B = _inverse(shortest_first_B)
        lengths_B = sequences.lengths_B.index_select(0, shortest_first_B)
        first_B = lengths_B.cumsum(0) - lengths_B
        start_X = first_B.index_select(0, rank_B).index_select(0, sequences.example_X)
        token_XD = token_XD.index_select(0, _inverse(start_X + sequences.position_X))
        *inner, last = self.layers
        for layer in inner:
            token_XD = layer(token_XD, lengths_B, token_XD, lengths_B)
        vector_BD = last(token_XD.index_select(0, first_B), torch.ones_like(lengths_B), token_XD, lengths_B)
        return cast(torch.Tensor, self.norm(vector_BD).index_select(0, rank_B))


class AttentionLayer(nn.Module):
    """Attention, then a perceptron on each token, both added to the input.

    Args:
        width: Length D of a token, a multiple of 32.

    Shape:
        asking `(Q, D)` and answering tokens `(X, D)`, packed alike → `(Q, D)`.

    Source: Xiong et al. (2020), On layer normalization in the transformer architecture, figure 1b.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_and_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(
        self,
        asking_QD: torch.Tensor,
        asking_B: torch.Tensor,
        answering_XD: torch.Tensor,
        answering_B: torch.Tensor,
    ) -> torch.Tensor:
        """See Shape above.

        Args:
            asking_QD: Tokens that ask.
            asking_B: How many each example has.
            answering_XD: Tokens that answer, those of an example at the same rank.
            answering_B: How many each example has, rising.
        """
        query_QHE = self.query(self.norm(asking_QD)).unflatten(1, (-1, HEAD))
        both_XHE = self.key_and_value(self.norm(answering_XD)).unflatten(1, (-1, HEAD))
        key_XHE, value_XHE = both_XHE.chunk(2, dim=1)
        answer_QHE = attention(query_QHE, key_XHE, value_XHE, asking_B, answering_B)
        between_QD = asking_QD + self.out(answer_QHE.flatten(1))
        return cast(torch.Tensor, between_QD + self.mlp(between_QD))


def attention(
    query_QHE: torch.Tensor,
    key_XHE: torch.Tensor,
    value_XHE: torch.Tensor,
    asking_B: torch.Tensor,
    answering_B: torch.Tensor,
) -> torch.Tensor:
    """Attention within each of B sequences that lie end to end.

    Args:
        query_QHE: Queries, shape (Q, heads, width of a head).
        key_XHE: Keys, shape (X, heads, width of a head).
        value_XHE: Values, of the same shape.
        asking_B: Queries of each sequence, at least 1.
        answering_B: Keys of each sequence, at least 1, rising.

    Returns:
        Of the shape of the queries.
    """
    # The kernel knows no other types, and no other device.
    typed = query_QHE.is_cuda and query_QHE.dtype in (torch.bfloat16, torch.float16)
    if typed and attention_kernel() is not None:
        return _without_padding(query_QHE, key_XHE, value_XHE, asking_B, answering_B)
    return _in_blocks(query_QHE, key_XHE, value_XHE, asking_B, answering_B)


@cache
def attention_kernel() -> Callable[..., object] | None:
    """Load torch's attention without padding, which takes seconds.

    It is None where torch has none.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:  # before torch 2.10
        return None
    return varlen_attn


def _without_padding(
    query_QHE: torch.Tensor,
    key_XHE: torch.Tensor,
    value_XHE: torch.Tensor,
    asking_B: torch.Tensor,
    answering_B: torch.Tensor,
) -> torch.Tensor:
    ends_Q, ends_X = (
        functional.pad(lengths_B.cumsum(0), (1, 0)).int() for lengths_B in (asking_B, answering_B)
    )
    longest = int(asking_B.max()), int(answering_B.max())
    kernel = attention_kernel()
    assert kernel is not None  # or this is not called
    # Only what all versions since 2.10 take; without more, all of a sequence is visible.
    answer_QHE = kernel(query_QHE, key_XHE.contiguous(), value_XHE.contiguous(), ends_Q, ends_X, *longest)
    return cast(torch.Tensor, answer_QHE)


def _in_blocks(
    query_QHE: torch.Tensor,
    key_XHE: torch.Tensor,
    value_XHE: torch.Tensor,
    asking_B: torch.Tensor,
    answering_B: torch.Tensor,
) -> torch.Tensor:
    """Padded among sequences of like length; what is padded is seen by nobody."""
    # Within a block the longest is less than 1.42 times the shortest.
    alike = torch.unique_consecutive((2 * answering_B.log2()).floor(), return_counts=True)[1].tolist()
    asking, answering = torch.split(asking_B, alike), torch.split(answering_B, alike)
    asking_tokens, answering_tokens = ([int(part.sum()) for part in parts] for parts in (asking, answering))
    queries = torch.split(query_QHE, asking_tokens)
    keys, values = torch.split(key_XHE, answering_tokens), torch.split(value_XHE, answering_tokens)
    answers = []
    for asking_b, answering_b, query, key, value in zip(
        asking, answering, queries, keys, values, strict=True
    ):
        place_Q, asking_bL = _block(asking_b)
        place_X, answering_bL = _block(answering_b)
        answer_bHLE = functional.scaled_dot_product_attention(
            _padded(query, place_Q, asking_bL),
            _padded(key, place_X, answering_bL),
            _padded(value, place_X, answering_bL),
            answering_bL[:, None, None, :],
        )
        answers.append(answer_bHLE.transpose(1, 2).flatten(0, 1).index_select(0, place_Q))
    return torch.cat(answers)


def _block(lengths_b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the place of each token in a padded block, and the places taken, (b, L)."""
    place_L = torch.arange(int(lengths_b.max()), device=lengths_b.device)
    taken_bL = place_L < lengths_b[:, None]
    return torch.nonzero(taken_bL.flatten()).flatten(), taken_bL


def _padded(token_XHE: torch.Tensor, place_X: torch.Tensor, taken_bL: torch.Tensor) -> torch.Tensor:
    """Packed tokens in a block (b, heads, L, width of a head), zeros between them."""
    block = token_XHE.new_zeros(taken_bL.numel(), *token_XHE.shape[1:]).index_copy(0, place_X, token_XHE)
    return block.view(*taken_bL.shape, *token_XHE.shape[1:]).transpose(1, 2)


def _inverse(permutation: torch.Tensor) -> torch.Tensor:
    """Return the place of each number in a permutation of 0, 1, 2, …"""
    places = torch.arange(len(permutation), device=permutation.device)
    return torch.empty_like(permutation).index_copy_(0, permutation, places)
