"""The nearest of several names, for slips and for the names of other tools."""

import difflib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

_LEAST = 0.6
_TIE = 0.03

_WORDS = (
    "customer client user cust account member buyer shopper person visitor subject",
    "article item product sku good",
    "date day time timestamp datetime ts dt at moment",
    "price amount cost value revenue spend",
    "department dept category cat class kind type",
    "quantity qty count number",
    "store shop branch merchant outlet",
    "id key code no num nr identifier",
    "order purchase sale transaction tx event",
    "description desc text",
)
_WORD = {word: words.split()[0] for words in _WORDS for word in words.split()}
"""Words of column names that often mean the same → one of them."""

FIELDS: Mapping[str, Sequence[str]] = {
    "learning_rate": ("lr", "max_lr", "eta", "learnrate", "base_lr", "step_size"),
    "epochs": ("max_epochs", "n_epochs", "num_epochs", "num_train_epochs", "nb_epochs", "max_iter"),
    "batch_size": ("bs", "batch", "batchsize", "per_device_train_batch_size", "train_batch_size"),
    "accumulate_grad_batches": ("gradient_accumulation_steps", "accumulation_steps", "grad_accum"),
    "weight_decay": ("wd", "l2", "decay"),
    "patience": ("early_stopping", "early_stopping_patience", "early_stopping_rounds"),
    "monitor": ("metric", "eval_metric", "early_stopping_metric"),
    "gradient_clip_val": ("grad_clip", "clip_grad", "max_grad_norm", "gradient_clip", "clip_norm"),
    "ema_decay": ("ema", "swa"),
    "accelerator": ("device", "hardware"),
    "devices": ("gpus", "n_gpus", "num_gpus", "num_devices", "n_devices"),
    "precision": ("amp", "fp16", "bf16", "mixed_precision"),
    "loggers": ("logger", "logging"),
    "seed": ("random_state", "random_seed", "rng_seed"),
    "loss": ("criterion", "objective", "loss_function"),
    "pos_weight": ("positive_weight", "scale_pos_weight", "class_weight"),
    "label_weights": ("class_weights", "weights"),
    "window_days": ("horizon", "horizon_days", "prediction_window", "lookahead", "window_length", "days"),
    "gap_days": ("gap", "lag", "lead_time", "lead_days"),
    "class_names": ("labels", "classes", "label_names", "class_list", "names"),
    "top": ("k", "n_classes", "num_classes", "num_labels", "n_labels", "top_k", "topk"),
    "min_support": ("min_frequency", "min_freq", "min_events"),
    "times": ("at_least", "min_times", "count", "n_times", "threshold"),
    "amount": ("at_least", "min_amount", "threshold"),
    "column": ("target_column", "label_column", "label", "target_col", "label_col", "y"),
    "table": ("target_table", "events_table"),
    "entity": ("id", "entity_id", "entity_column", "user_id", "customer_id", "id_column", "customer"),
    "time": (
        *("date", "date_col", "date_column", "time_col", "time_column", "timestamp", "datetime"),
        *("timestamp_column", "ts", "event_time"),
    ),
    "key": ("primary_key", "index", "id", "id_column", "keys"),
    "joins": ("join", "foreign_keys", "dimensions", "lookups"),
    "path": ("file", "files", "filename", "filepath", "source", "url", "location"),
    "kind": ("type", "role"),
    "separator": ("sep", "delimiter", "delim"),
    "null_values": ("na_values", "null_value", "nulls"),
    "types": ("dtypes", "dtype", "schema", "column_types"),
    "encoders": ("features", "encoding", "encode"),
    "computed": ("derived", "expressions", "new_columns"),
    "leave_out": ("drop", "exclude", "ignore", "drop_columns"),
    "columns": ("usecols", "select", "include"),
    "where": ("filter", "condition", "query", "filters"),
    "validation_from": ("val_from", "valid_from", "validation_start", "val_start"),
    "test_from": ("test_start",),
    "observed_until": ("until", "end", "end_date", "observation_end", "as_of"),
    "every_days": ("step", "stride", "freq", "frequency", "every", "step_days"),
    "holdout_entities": ("holdout", "test_size", "holdout_share"),
    "max_entities": ("sample", "n_entities", "sample_size", "limit"),
    "min_history_events": ("min_history", "min_events"),
    "active_within_days": ("active_days", "active_within", "recency_days"),
    "train_cutoffs": ("n_cutoffs", "max_cutoffs", "num_cutoffs"),
    "preset": ("size", "model_size"),
    "members": ("ensemble", "n_models", "ensemble_size", "num_models"),
    "max_events": ("max_len", "max_length", "sequence_length", "seq_len"),
    "foundation": ("pretrained", "checkpoint", "base_model"),
    "foundation_learning_rate": ("trunk_learning_rate", "backbone_learning_rate"),
    "thresholds": ("threshold", "cutoff_score", "decision_threshold"),
    "calibration": ("calibrate", "calibrator"),
    "precision_at_least": ("precision", "min_precision"),
    "recall_at_least": ("recall", "min_recall"),
    "max_f1": ("f1", "best_f1"),
    "max_fbeta": ("fbeta", "f_beta", "f2"),
    "top_n": ("n", "topn"),
    "top_k": ("k", "topk"),
    "count_at_least": ("count", "at_least"),
    "sum_at_least": ("sum", "total"),
    "exists": ("any", "exist"),
    "number": ("numeric", "numerical", "float", "decimal", "double", "quantity"),
    "integer": ("int", "int64", "long"),
    "boolean": ("bool",),
    "category": ("categorical", "cat", "enum"),
    "text": ("string", "str", "varchar"),
    "datetime": ("timestamp",),
    "csv": ("tsv", "txt"),
    "events": ("event", "fact", "facts", "transactions"),
    "dimension": ("dim", "lookup", "items"),
    "entities": ("entity", "customers", "users"),
}
"""Field or kind of a scenario → what other tools call it."""


def synonym_of(wrong: str, known: Iterable[str]) -> str | None:
    """The known name that another tool, or another spelling, calls so.

    Examples:
        >>> synonym_of("maxEpochs", ["epochs", "patience"])
        'epochs'
    """
    plain = _plain(wrong)
    for name in known:
        if plain == _plain(name) or plain in map(_plain, FIELDS.get(name, ())):
            return name
    return None


def nearest(wrong: str, known: Iterable[str]) -> list[str]:
    """The nearest of the known names, several only where they are equally near.

    It is None where none is near.
    """
    names = sorted(set(known))
    scores = {name: similarity(wrong, name) for name in names}
    best = max(scores.values(), default=0.0)
    if best < _LEAST:
        return []
    return [name for name in sorted(names, key=lambda one: -scores[one]) if scores[name] >= best - _TIE][:3]


def similarity(first: str, second: str) -> float:
    """How alike two names are, from 0 to 1.

    Swapped letters count little, words of one meaning nothing.
    """
    one, two = first.lower(), second.lower()
    if one == two:
        return 1.0
    plain = difflib.SequenceMatcher(None, one, two).ratio()
    if sorted(one) == sorted(two):  # letters changed places
        plain = max(plain, 0.95)
    meant = [_meaning(one), _meaning(two)]
    return max(plain, 0.97 if meant[0] == meant[1] else 0.0)


def _meaning(name: str) -> str:
    words = re.findall(r"[a-z]+|[0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    return " ".join(_WORD.get(word, _WORD.get(word.removesuffix("s"), word)) for word in words)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def looks_like(left: str, right: str) -> bool:
    """Return whether two different texts look the same, or differ in case alone.

    Examples:
        >>> looks_like("caf\u00e9", "Cafe\u0301 "), looks_like("cafe", "cafe"), looks_like("cafe", "safe")
        (True, False, False)
    """
    return left != right and _visible(left) == _visible(right)


def spelled_out(text: str) -> str:
    r"""Return a text in double quotes for YAML, with escapes for all but ASCII.

    Examples:
        >>> print(spelled_out("cafe\u0301 \U0001f600"))
        "cafe\u0301 \U0001F600"
    """
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(
        letter
        if " " <= letter <= "~"
        else f"\\u{ord(letter):04x}"
        if ord(letter) < 1 << 16
        else f"\\U{ord(letter):08X}"
        for letter in quoted
    )


def _visible(text: str) -> str:
    """What of a text is seen, in one form and without case."""
    form = unicodedata.normalize("NFKC", text)
    letters = (letter for letter in form if unicodedata.category(letter) not in ("Cc", "Cf"))
    return "".join(letters).strip().lower()
