"""`mlc export`: the network of a run for use without mlc."""

from pathlib import Path
from typing import Literal

from mlc.errors import MlcError, Problem
from mlc.files.atomic import replacing
from mlc.models.rows.export import TextClassifier, write_hf_folder, write_onnx
from mlc.progress import stage
from mlc.run import RunFolder

Form = Literal["hf-folder", "onnx"]


def export(run: RunFolder, form: Form, out: Path) -> None:
    """Write the network of a run as other tools read it.

    It scores a text of at most `model.text.max_tokens` tokens as the network part of the model does. The
    scores of the whole model may differ: other parts are mixed in, long texts are read in several windows,
    and scores are calibrated. `config.json` records thresholds, calibration and mix under `mlc`.

    Args:
        run: A finished run whose network reads one column of texts, with `tune: lora` or `all`.
        form: `hf-folder` for transformers, `onnx` for ONNX.
        out: The folder to write.

    Raises:
        RunError: The run has no such network.
        DataError: A package is not installed, or the encoder is of a family that cannot be written so.
        MlcError: There is something at `out` already.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MlcError(Problem("exists already. Remove it, or give another --out.", "", str(out)))
    model = TextClassifier.load(run)
    stage("writing")
    with replacing(out) as temporary:
        if form == "onnx":
            write_onnx(model, temporary)
        else:
            write_hf_folder(model, temporary)
