"""What the model of rows consists of, and how it reads texts and pictures."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mlc.scenario.fields import FilePath, LearningRate, Section, distinct

PartName = Literal["linear", "trees", "network"]


class TextSection(Section):
    """How texts are read beside their words. Needs `pip install 'mlc[text]'`."""

    encoder: FilePath | None = None
    """A pre-trained transformer: `embedded`, a folder, or a name on the Hugging Face hub. Default: none; the
    words and their parts are read all the same."""
    tune: Literal["head", "lora", "all"] = "head"
    """How much of the encoder is trained: nothing (`head`), low-rank updates (`lora`) or everything
    (`all`)."""
    max_tokens: Annotated[int, Field(ge=8, le=8192)] = 128
    """Tokens that are read at once; longer texts are read in overlapping windows."""
    max_windows: Annotated[int, Field(ge=1, le=1000)] = 8
    """At most this many windows of a text are read; the report says how many texts are longer."""
    learning_rate: LearningRate = 5.0e-5
    """Highest learning rate of the encoder with `lora` and `all`; that of its head is five times as high."""


class ImageSection(Section):
    """How pictures are read. Needs `pip install 'mlc[image]'`."""

    encoder: FilePath | None = None
    """A pre-trained vision model: `embedded`, a folder, or a name on the Hugging Face hub. Default: a small
    network that is trained from the start."""
    tune: Literal["head", "all"] = "head"
    """How much of a pre-trained encoder is trained: nothing (`head`) or everything (`all`)."""
    size: Annotated[int, Field(ge=8, le=1024)] = 224
    """Width and height in pixels that pictures are brought to."""
    learning_rate: LearningRate = 5.0e-5
    """Highest learning rate of a pre-trained encoder with `all`."""


class RowModel(Section):
    """What the model consists of."""

    parts: Annotated[list[PartName], Field(min_length=1), AfterValidator(distinct)] | None = None
    """What is trained and mixed by its validation loss: `[linear, trees, network]`. Default: all that suit
    the inputs."""
    preset: Literal["nano", "small", "base", "large"] = "small"
    """Width and depth of the network. `nano` is for smoke tests, `small` for most tables, `large` for
    millions of rows on a GPU."""
    members: Annotated[int, Field(ge=1, le=100)] = 1
    """How many networks are trained side by side; the score is their mean. Training and scoring take as many
    times longer."""
    text: TextSection = TextSection()
    """How texts are read."""
    image: ImageSection = ImageSection()
    """How pictures are read."""
