"""Encoders that are trained: branches of the network for pictures and texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mlc.errors import DataError
from mlc.models.branches.branch import BranchSpec
from mlc.models.branches.image import ImageSpec
from mlc.models.branches.text import TextInputs, Tune
from mlc.models.network import Network
from mlc.models.rows.pretrained import load_pretrained
from mlc.models.rows.reading import InputsMaker, RowBuilder
from mlc.models.rows.text_windows import window_reader
from mlc.models.rows.trained_pictures import PictureMaker, begin_pictures
from mlc.models.rows.trained_texts import TextMaker, begin_texts, text_spec
from mlc.models.rows.weights import EMBEDDED
from mlc.rows.inputs import RowColumns
from mlc.run import RunFolder
from mlc.scenario import RowScenario


class Begin(Protocol):
    """Gives networks the weights that an encoder begins with."""

    def __call__(self, networks: Sequence[Network], builder: RowBuilder, rows_M: np.ndarray) -> None:
        """Set them.

        Args:
            networks: Fitted, with the branch.
            builder: All rows, with targets.
            rows_M: Positions of the rows of training.
        """


@dataclass(frozen=True)
class TrainedInput:
    """A branch of the network with an encoder that is trained.

    Attributes:
        branch: Its name.
        spec: Its sizes.
        columns: The columns that it reads.
        maker: Makes what it reads of rows.
        begin: Gives it its first weights; None where they are random.
    """

    branch: str
    spec: BranchSpec
    columns: Sequence[str]
    maker: InputsMaker
    begin: Begin | None = None


def trained_inputs(scenario: RowScenario, columns: RowColumns) -> list[TrainedInput]:
    """Return the branches of a scenario whose encoders are trained.

    Args:
        scenario: Checked scenario.
        columns: How each column enters the model.

    Raises:
        DataError: A package is not installed, or an encoder is not there.
    """
    return [made for make in (_pictures, _texts) if (made := make(scenario, columns)) is not None]


def stored_makers(run: RunFolder, columns: RowColumns) -> list[InputsMaker]:
    """Return what makes the inputs of trained encoders in a finished run.

    Raises:
        RunError: A file is missing or damaged.
    """
    scenario = run.scenario()
    assert isinstance(scenario, RowScenario)
    pictures = _picture_maker(scenario, columns)
    texts = TextMaker.load(run) if _text_tune(scenario, columns) else None
    return [maker for maker in (pictures, texts) if maker is not None]


def _picture_maker(scenario: RowScenario, columns: RowColumns) -> PictureMaker | None:
    image = scenario.model.image
    if not columns.images or (image.encoder is not None and image.tune == "head"):
        return None
    column, missing = next(iter(columns.images.items()))
    return PictureMaker(column, image.size, missing)


def _pictures(scenario: RowScenario, columns: RowColumns) -> TrainedInput | None:
    maker, image = _picture_maker(scenario, columns), scenario.model.image
    if maker is None:
        return None
    if len(columns.images) > 1:
        rule = f"{', '.join(columns.images)}: only one column of pictures has an encoder that is trained"
        raise DataError(scenario.problem("model.image", f"{rule}. Use tune: head, or ignore one."))
    if image.encoder is None:
        return TrainedInput("image", ImageSpec(image.size), [maker.column], maker)
    spec = ImageSpec(image.size, "efficientnet_lite0", image.learning_rate)
    if image.encoder != EMBEDDED:
        rule = "tune: all is there for the embedded encoder"
        raise DataError(scenario.problem("model.image.encoder", f"{rule}. Write embedded, or tune: head."))
    return TrainedInput("image", spec, [maker.column], maker, begin_pictures)


def _text_tune(scenario: RowScenario, columns: RowColumns) -> Tune | None:
    """How much of an encoder of texts is trained; None where none is."""
    text = scenario.model.text
    if text.encoder is None or text.tune == "head" or not columns.texts:
        return None
    return text.tune


def _texts(scenario: RowScenario, columns: RowColumns) -> TrainedInput | None:
    text = scenario.model.text
    tune = _text_tune(scenario, columns)
    if text.encoder is None or tune is None:
        return None
    pretrained = load_pretrained(text.encoder, scenario.origin.base)
    reader = window_reader(pretrained.tokenizer, text.max_tokens, text.max_windows, pretrained.most_tokens)
    alone = len(columns.names) == len(columns.texts)
    spec = text_spec(pretrained, len(columns.texts), tune, text.learning_rate, alone=alone)

    def begin(networks: Sequence[Network], builder: RowBuilder, rows_M: np.ndarray) -> None:
        def inputs_of(rows_B: np.ndarray) -> TextInputs:
            return builder.build(rows_B, rows_B, rows_B, None).of(TextInputs)

        begin_texts(networks, pretrained, inputs_of, rows_M, builder.targets[rows_M])

    return TrainedInput("text", spec, list(columns.texts), TextMaker(list(columns.texts), reader), begin)
