"""The trees part: one forest of randomised trees for all labels, on dense columns."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from mlc.evaluation.calibration import SharedMaps, logits
from mlc.files.atomic import replacing
from mlc.models.reading.batches import ExampleBatches
from mlc.models.rows.cross_fitting import SEEDS, Folds, cross_fit
from mlc.models.rows.reading import RowBuilder
from mlc.run import RunFolder
from mlc.run.schemas import of_schema
from mlc.tables import UNKNOWN, known_shares

FILE = "trees.safetensors"
_DESCRIBED = "trees.json"
_SCHEMA = "mlc/trees/1"
_TREES = (100, 300)
"""Fewest and most trees of each kind; as many as this many rows in all allow:"""
_TREES_ROWS = 200_000
_MOST_VALUES = 30_000_000
"""Shares in all leaves of all trees together at most: 120 MB. Larger tables have larger leaves."""
_MOST_ROWS = 200_000
"""Rows that are trained on at most, a random sample of them."""
_FEWEST_SHARE = 1e-3
"""Shares are kept this far from 0 and 1, where their log-odds are finite."""
_CHUNK = 8_192


_WAYS = ((1, "sqrt"), (2, 0.3))
"""The fewest rows of a leaf, and the share of the columns that a split chooses from.

Many columns with a little of the truth each ask for the former, few that matter for the latter: half of the
trees are of each kind.
"""


@dataclass(frozen=True)
class Forest:
    """Trees as arrays, their nodes one tree after the other.

    Attributes:
        roots_T: Node of each root, int64.
        columns_X: Column that a node splits by, int32; -1 for a leaf.
        thresholds_X: A row goes left where its value is at most this, float64.
        left_X: Node on the left, int32; that on the right follows from `right_X`.
        right_X: Node on the right, int32.
        shares_XK: Share of positives of each label in a node, float32.
        fill_F: What stands for a missing value of each column, float32.
    """

    roots_T: np.ndarray
    columns_X: np.ndarray
    thresholds_X: np.ndarray
    left_X: np.ndarray
    right_X: np.ndarray
    shares_XK: np.ndarray
    fill_F: np.ndarray

    @classmethod
    def of(cls, trees: Sequence[Any], fill_F: np.ndarray) -> "Forest":
        """Take the trees of scikit-learn apart.

        Args:
            trees: Fitted regression trees, whose targets are from 0 to 1.
            fill_F: What stood for a missing value of each column.
        """
        inner = [tree.tree_ for tree in trees]
        sizes = np.array([one.node_count for one in inner])
        roots_T = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        moved = zip(inner, roots_T.tolist(), strict=True)
        children = [
            np.stack([one.children_left, one.children_right]) + root * (one.children_left >= 0)
            for one, root in moved
        ]
        left_X, right_X = np.concatenate(children, axis=1).astype(np.int32)
        columns = [np.where(one.children_left >= 0, one.feature, -1) for one in inner]
        shares = [one.value[:, :, 0] for one in inner]
        return cls(
            roots_T,
            np.concatenate(columns).astype(np.int32),
            np.concatenate([one.threshold for one in inner]),
            left_X,
            right_X,
            np.concatenate(shares).astype(np.float32),
            fill_F.astype(np.float32),
        )

    def leaves(self, x_NF: np.ndarray) -> np.ndarray:
        """Return the leaf of each row in each tree, int64, shape (N, T)."""
        filled_NF = np.where(np.isnan(x_NF), self.fill_F, x_NF).astype(np.float32)
        node_NT = np.broadcast_to(self.roots_T, (len(x_NF), len(self.roots_T))).copy()
        flat = node_NT.reshape(-1)
        moving = np.flatnonzero(self.columns_X[flat] >= 0)
        trees = len(self.roots_T)
        while len(moving):
            node = flat[moving]
            values = filled_NF[moving // trees, self.columns_X[node]]
            flat[moving] = np.where(values <= self.thresholds_X[node], self.left_X[node], self.right_X[node])
            moving = moving[self.columns_X[flat[moving]] >= 0]
        return node_NT

    def shares(self, x_NF: np.ndarray) -> np.ndarray:
        """Return the mean share of positives in the leaves of rows, float64, (N, K)."""
        shares_NK = np.zeros((len(x_NF), self.shares_XK.shape[1]))
        for start in range(0, len(x_NF), _CHUNK):
            leaves_CT = self.leaves(x_NF[start : start + _CHUNK])
            for leaves_C in leaves_CT.T:
                shares_NK[start : start + _CHUNK] += self.shares_XK[leaves_C]
        return shares_NK / len(self.roots_T)

    def with_known_shares(self, x_MF: np.ndarray, targets_MK: np.ndarray) -> "Forest":
        """Return the same trees with shares that count the known targets of rows alone.

        A leaf without any known target of a label has the label's share of all rows.
        """
        known_MK = targets_MK != UNKNOWN
        share_K = known_shares(targets_MK)
        known_XK, hits_XK = np.zeros((2, *self.shares_XK.shape))
        for leaves_M in self.leaves(x_MF).T:
            np.add.at(known_XK, leaves_M, known_MK)
            np.add.at(hits_XK, leaves_M, targets_MK == 1)
        shares_XK = np.where(known_XK > 0, hits_XK / np.maximum(known_XK, 1), share_K)
        return Forest(**{**vars(self), "shares_XK": shares_XK.astype(np.float32)})


@dataclass(frozen=True)
class Trees:
    """A fitted trees part.

    Attributes:
        forest: The trees.
        maps: From the log-odds of its shares to probabilities.
        rows: How many rows they were grown from.
    """

    forest: Forest
    maps: SharedMaps
    rows: int
    file = FILE

    def scores(self, batches: ExampleBatches) -> np.ndarray:
        """See `Part`."""
        shares_NK = self.forest.shares(RowBuilder.of(batches).dense)
        return self.maps.probabilities(_log_odds(shares_NK))

    def notes(self) -> Sequence[str]:
        """See `Part`."""
        trees = f"{len(self.forest.roots_T)} extremely randomised trees for all labels"
        return [f"trees: {trees} ({self.rows:,} rows)"]

    def save(self, run: RunFolder) -> None:
        """See `Part`: `trees.safetensors` has all numbers; no pickled code."""
        arrays = {**vars(self.forest), "slope_K": self.maps.slope_K, "bias_K": self.maps.bias_K}
        with replacing(run / FILE) as temporary:
            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)
        run.write_json(_DESCRIBED, {"schema": _SCHEMA, "rows": self.rows})

    @classmethod
    def load(cls, run: RunFolder) -> "Trees":
        """Load what `save` has written.

        Raises:
            RunError: A file is missing or damaged.
        """
        described: dict[str, Any] = run.read_json(_DESCRIBED, partial(of_schema, schema=_SCHEMA))
        with run.reading(FILE) as path:
            arrays = load_file(path)
            maps = SharedMaps(arrays.pop("slope_K"), arrays.pop("bias_K"))
            return cls(Forest(**arrays), maps, described["rows"])


def fit_trees(builder: RowBuilder, folds: Folds, seed: int) -> tuple[Trees, np.ndarray]:
    """Grow the trees.

    Unknown targets enter the choice of splits as the label's share of positives; the shares in the leaves
    count known targets alone.

    Args:
        builder: All rows, with targets.
        folds: The rows of training.
        seed: Fixes what is random.

    Returns:
        The part, and the probabilities of the judged rows by trees that had not seen them.
    """
    targets_NK = builder.targets
    x_NF = builder.dense

    def fit(_: None, rows_M: np.ndarray) -> _Grown:
        return _Grown(x_NF, _grown(x_NF, targets_NK, rows_M, seed))

    found = cross_fit(fit, [None], targets_NK, folds)
    rows = min(len(folds.rows_M), _MOST_ROWS)
    return Trees(found.trained.forest, found.maps, rows), found.scores_JK


@dataclass(frozen=True)
class _Grown:
    """Trees with the rows that they may score; see `Trained`."""

    x_NF: np.ndarray
    forest: Forest

    def __call__(self, rows_M: np.ndarray) -> np.ndarray:
        return _log_odds(self.forest.shares(self.x_NF[rows_M]))


def _grown(x_NF: np.ndarray, targets_NK: np.ndarray, rows_M: np.ndarray, seed: int) -> Forest:
    from sklearn.ensemble import ExtraTreesRegressor  # takes a second to load

    if len(rows_M) > _MOST_ROWS:
        rows_M = np.sort(np.random.default_rng(seed).choice(rows_M, _MOST_ROWS, replace=False))
    x_MF, targets_MK = x_NF[rows_M], targets_NK[rows_M]
    # Below all values, so that one split tells missing ones apart.
    lowest_F = np.nan_to_num(np.nanmin(np.vstack([x_MF, np.full(x_MF.shape[1], np.inf)]), axis=0), posinf=0.0)
    fill_F = (lowest_F - 1.0 - np.abs(lowest_F)).astype(np.float32)
    known_MK = targets_MK != UNKNOWN
    shares_MK = np.where(known_MK, targets_MK == 1, known_shares(targets_MK))
    filled_MF = np.where(np.isnan(x_MF), fill_F, x_MF)
    # A tree has about as many leaves as rows / leaf, and twice as many nodes.
    count = int(np.clip(_TREES_ROWS / max(1, len(rows_M)), *_TREES))
    most_leaves = _MOST_VALUES // (2 * len(_WAYS) * count * targets_MK.shape[1])
    smallest = len(rows_M) // max(1, most_leaves)
    # Trees of numbers from 0 to 1 split as those of two classes do: their variance is half of Gini's index.
    trees = [
        tree
        for place, (leaf, share) in enumerate(_WAYS)
        for tree in ExtraTreesRegressor(
            count,
            max_features=share,
            min_samples_leaf=max(leaf, smallest),
            random_state=(seed + place) % SEEDS,
            n_jobs=os.cpu_count(),
        )
        .fit(filled_MF, shares_MK)
        .estimators_
    ]
    grown = Forest.of(trees, fill_F)
    return grown if known_MK.all() else grown.with_known_shares(x_MF, targets_MK)


def _log_odds(shares_NK: np.ndarray) -> np.ndarray:
    return logits(np.clip(shares_NK, _FEWEST_SHARE, 1.0 - _FEWEST_SHARE))
