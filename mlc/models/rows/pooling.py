"""From windows of tokens to one vector per text, in training and in scoring."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn
from torch.nn import functional

_TOKENS = 16_384
"""Tokens that an encoder reads at once; memory grows with it."""
_EPSILON = 1e-12
"""Too small to change anything but zeros."""
_MULTIPLE = 8
"""Windows are filled up to a multiple of this: fewer shapes, and faster matrices."""


def pooled(
    encoder: nn.Module, tokens_G: torch.Tensor, lengths_W: torch.Tensor, place_W: torch.Tensor, places: int
) -> torch.Tensor:
    """Return the mean over the tokens of each window, then over those of a text.

    Each mean is centred and scaled to variance 1: linear models see more in it. Windows of like length are
    read together, and what they are filled up with is masked: the vector of a text does not depend on the
    others.

    Args:
        encoder: Token ids and their mask to hidden vectors.
        tokens_G: The tokens of all windows end to end, int32.
        lengths_W: How many of them each window has, int64, at least 1.
        place_W: The text of each window, int64.
        places: Number of texts.

    Returns:
        float32, shape (texts, D); zeros for a text without a window.
    """
    starts_W = lengths_W.cumsum(0) - lengths_W
    order_W = torch.argsort(lengths_W, stable=True)
    vectors = [
        _means(encoder, tokens_G, starts_W[chosen], lengths_W[chosen])
        for chosen in _chunks(order_W, lengths_W)
    ]
    if not vectors:  # one that counts nothing, so that every weight has a gradient on every rank
        nothing_1 = torch.zeros(1, dtype=torch.int64, device=tokens_G.device)
        blank_1D = _means(encoder, tokens_G.new_zeros(1), nothing_1, nothing_1 + 1)
        return 0.0 * blank_1D.expand(places, -1)
    vectors_WD = torch.cat(vectors)
    place_W = place_W[order_W]
    windows_B = torch.bincount(place_W, minlength=places).clamp_min(1)
    sums_BD = vectors_WD.new_zeros(places, vectors_WD.shape[1]).index_add(0, place_W, vectors_WD)
    return normalised(sums_BD / windows_B[:, None])


def normalised(means_BD: torch.Tensor) -> torch.Tensor:
    """Return each vector centred and scaled to variance 1; zeros stay zeros."""
    return functional.layer_norm(means_BD, means_BD.shape[-1:], eps=_EPSILON)


def _chunks(order_W: torch.Tensor, lengths_W: torch.Tensor) -> Iterator[torch.Tensor]:
    """Split windows, sorted by length, so that no part has too many tokens."""
    lengths = lengths_W[order_W].tolist()
    start = 0
    while start < len(lengths):
        end = start + 1
        while end < len(lengths) and (end + 1 - start) * _filled_up(lengths[end]) <= _TOKENS:
            end += 1
        yield order_W[start:end]
        start = end


def _filled_up(length: int) -> int:
    return -(-length // _MULTIPLE) * _MULTIPLE


def _means(
    encoder: nn.Module, tokens_G: torch.Tensor, starts_W: torch.Tensor, lengths_W: torch.Tensor
) -> torch.Tensor:
    longest = int(lengths_W.max())
    offsets_T = torch.arange(longest, device=tokens_G.device)
    mask_WT = offsets_T < lengths_W[:, None]
    places_WT = torch.where(mask_WT, starts_W[:, None] + offsets_T, 0)
    ids_WT = torch.where(mask_WT, tokens_G[places_WT].long(), 0)
    rest = _filled_up(longest) - longest
    ids_WT, mask_WT = functional.pad(ids_WT, (0, rest)), functional.pad(mask_WT, (0, rest))
    return mean_of_tokens(encoder, ids_WT, mask_WT.long())


def mean_of_tokens(encoder: nn.Module, ids_WT: torch.Tensor, mask_WT: torch.Tensor) -> torch.Tensor:
    """Return the mean over the tokens that are not masked, float32, shape (W, D)."""
    hidden_WTD = encoder(input_ids=ids_WT, attention_mask=mask_WT).last_hidden_state.float()
    weights_WT1 = mask_WT[:, :, None].to(hidden_WTD.dtype)
    means_WD: torch.Tensor = (hidden_WTD * weights_WT1).sum(1) / weights_WT1.sum(1)
    return means_WD


def fast_on_cpu() -> AbstractContextManager[None]:
    """Compute with numbers of 16 bits where the CPU has instructions for them.

    It is 2.7 times as fast. What needs more digits, such as norms and sums, keeps its 32.
    """
    cpu = torch.cpu
    # Private, but nothing else tells; without such instructions they are emulated, and slower.
    checks = [getattr(cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    if any(check is not None and check() for check in checks):
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return nullcontext()
