"""The parts of a recipe: augmentation, head, stages; what each may be and is by default."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ..settings import numbers, setting
from .values import AUTO, alpha, count_or_auto, number_or_auto, unfreeze, units, zoom

FILL_MODES = ("nearest", "constant", "reflect", "wrap")
PRECISIONS = ("auto", "float32", "bfloat16", "int8")


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images, in ``ImageDataGenerator``'s own words and units.

    Left out of the generator's vocabulary: what is fitted to the data (``featurewise_*``,
    ``zca_whitening``), what the model does itself (``rescale``, ``preprocessing_function``,
    ``samplewise_*``) and what the data set decides (``validation_split``).
    """

    rotation_range: float = setting(
        0.0, float, "Rotate by up to this many degrees.", minimum=0, maximum=180
    )
    width_shift_range: float = setting(
        0.0, float, "Shift sideways by up to this fraction of the width.", minimum=0, maximum=0.9
    )
    height_shift_range: float = setting(
        0.0, float, "Shift up or down by up to this fraction of the height.", minimum=0, maximum=0.9
    )
    brightness_range: tuple[float, float] | None = setting(
        None,
        numbers("a brightness range such as 0.8,1.2", 0, 10, size=2),
        "Multiply the brightness by a factor in this range.",
        optional=True,
        metavar="LOW,HIGH",
    )
    shear_range: float = setting(
        0.0, float, "Shear by up to this many degrees.", minimum=0, maximum=90
    )
    zoom_range: float | tuple[float, float] = setting(
        0.0, zoom, "Zoom by up to this fraction (0.2), or in a range (0.8,1.2).", metavar="ZOOM"
    )
    channel_shift_range: float = setting(
        0.0, float, "Add up to this much to each pixel (0..255).", minimum=0, maximum=255
    )
    fill_mode: str = setting(
        "nearest", str, "What fills the corners that come into view.", choices=FILL_MODES
    )
    cval: float = setting(
        0.0, float, "Pixel value for --fill-mode constant.", minimum=0, maximum=255
    )
    horizontal_flip: bool = setting(False, bool, "Mirror half of the images left to right.")
    vertical_flip: bool = setting(False, bool, "Mirror half of the images top to bottom.")

    @property
    def is_identity(self) -> bool:
        """Whether no image is ever changed."""
        neutral = dataclasses.replace(Augmentation(), fill_mode=self.fill_mode, cval=self.cval)
        return self == neutral


@dataclass(frozen=True)
class BatchAugmentation:
    """Random changes of a batch on its way into the network, by Keras' layers of these names."""

    rand_augment: float = setting(
        0.0,
        float,
        "Change every batch by two of eleven kinds of transform, each up to this strength.",
        minimum=0,
        maximum=1,
    )
    random_erasing: float = setting(
        0.0,
        float,
        "Replace a rectangle by noise, in this share of the images.",
        minimum=0,
        maximum=1,
    )
    mixup: float = setting(
        0.0,
        alpha,
        "Blend every image and its label with another's, in shares from Beta(ALPHA, ALPHA), such "
        "as 0.2.",
        metavar="ALPHA",
    )
    cutmix: float = setting(
        0.0,
        alpha,
        "Paste a rectangle of another image into every image, and mix the labels by area, which is "
        "from Beta(ALPHA, ALPHA), such as 1. With --mixup, every batch gets one of both.",
        metavar="ALPHA",
    )

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are asked for."""
        return tuple(name for name, strength in vars(self).items() if strength)


AUGMENTATION_PRESETS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation(
        rotation_range=10.0,
        width_shift_range=0.05,
        height_shift_range=0.05,
        zoom_range=0.1,
        horizontal_flip=True,
    ),
    "strong": Augmentation(
        rotation_range=25.0,
        width_shift_range=0.15,
        height_shift_range=0.15,
        brightness_range=(0.7, 1.3),
        shear_range=10.0,
        zoom_range=0.25,
        channel_shift_range=20.0,
        fill_mode="reflect",
        horizontal_flip=True,
    ),
}


@dataclass(frozen=True)
class Head:
    """The new layers on top of the backbone: standardisation, hidden dense layers, softmax.

    Without hidden layers it is logistic regression, which is solved instead of trained in small
    steps: learning rate, schedule and batch size have no part in it.
    """

    units: tuple[int, ...] = setting(
        (), units, "Widths of hidden dense layers (256,128), or none.", metavar="N[,N...]"
    )
    activation: str = setting(
        "relu", str, "Activation of the hidden layers.", choices=("relu", "gelu", "silu", "tanh")
    )
    batch_normalization: bool = setting(
        False, bool, "Batch normalisation after each hidden dense layer."
    )
    dropout: float = setting(
        0.5, float, "Fraction of hidden units dropped while training.", minimum=0, maximum=0.95
    )
    l2: float | str = setting(
        AUTO,
        number_or_auto("a strength from 0 to 10 such as 0.01", 0, 10),
        "L2 penalty on the head's kernels; auto: what validates best, or 0.003 with hidden layers.",
        metavar="X|auto",
    )
    ensemble: int = setting(
        1,
        int,
        "Fit so many heads with hidden layers that differ by chance only, and join them into one, "
        "which averages what they say.",
        minimum=1,
        maximum=50,
    )
    bagging: bool = setting(
        False,
        bool,
        "Give each head of the ensemble a bootstrap sample of the training photos of its own.",
    )


#: The settings of a head that are for its hidden layers.
OF_HIDDEN_LAYERS = ("activation", "batch_normalization", "dropout", "ensemble", "bagging")


@dataclass(frozen=True)
class Stage:
    """One step of training. ``unfreeze`` says how much of the backbone trains with the head."""

    name: str = setting("head", str, "The stage's name in history.csv.")
    unfreeze: str = setting(
        "none",
        unfreeze,
        "How much of the backbone trains too: none, all, a block (block5), "
        "a number of top layers (20) or a share of them (20%).",
        metavar="BLOCK|N|N%|all|none",
    )
    views: int | str = setting(
        AUTO,
        count_or_auto("views", 1000),
        "Versions of each training image that are learned from: the image itself and N - 1 "
        "augmented ones; auto: 1 for a head, but 4 of up to 100 images, 2 where layers are "
        "unfrozen, and 4 where an augmentation other than the default is chosen.",
        metavar="N|auto",
    )
    learning_rate: float | str = setting(
        1e-3,
        number_or_auto("a learning rate from 1e-8 to 10 such as 0.001", 1e-8, 10),
        "Learning rate of the Adam optimiser; auto: found by a range test.",
        metavar="X|auto",
    )
    schedule: str = setting(
        "constant",
        str,
        "How the learning rate goes on: as it is, or down to zero along a cosine.",
        choices=("constant", "cosine"),
    )
    warmup: float = setting(
        0.0,
        float,
        "Let the learning rate rise evenly over this share of the steps first.",
        minimum=0,
        maximum=0.9,
    )
    epochs: int = setting(
        200, int, "At most so many passes over the training images.", minimum=1, maximum=100_000
    )
    patience: int = setting(
        10,
        int,
        "Stop after this many epochs without a lower validation loss.",
        minimum=1,
        maximum=100_000,
    )
    label_smoothing: float = setting(
        0.0,
        float,
        "Spread so much of every label evenly over the classes while training.",
        minimum=0,
        maximum=0.5,
    )
    min_delta: float = setting(
        0.0,
        float,
        "Undo the stage unless it lowers the validation loss by more than so many standard errors "
        "of that, from image to image.",
        minimum=0,
        maximum=10,
    )
    layer_decay: float = setting(
        1.0,
        float,
        "Factor of the learning rate from the head to the top block, and from every block to the "
        "one below it.",
        minimum=0.01,
        maximum=1,
    )
    ema_momentum: float = setting(
        0.0,
        float,
        "Validate and keep a running average of the weights that remembers so much of itself in "
        "every step, such as 0.99.",
        minimum=0,
        maximum=0.9999,
    )
    gradient_accumulation_steps: int = setting(
        1,
        int,
        "Learn from so many batches at once, as from one batch of all their images.",
        minimum=1,
        maximum=1024,
    )
    train_batch_normalization: bool = setting(
        False, bool, "Let unfrozen batch normalisation layers train instead of infer."
    )
    precision: str = setting(
        AUTO,
        str,
        "Arithmetic of convolutions in a stage that unfreezes layers; auto: what is measured "
        "to be faster and similar enough.",
        choices=PRECISIONS[:3],
    )
    jit_compile: str = setting(
        AUTO,
        str,
        "Whether XLA compiles the steps of a stage that unfreezes layers; auto: where the stage is "
        "long and that is measured to be faster here.",
        choices=(AUTO, "xla", "none"),
    )


HEAD_STAGE = Stage()
FINETUNE_STAGE = Stage(
    name="finetune", learning_rate=1e-4, schedule="cosine", epochs=10, patience=5
)
#: All layers at once, from random weights; by the name that --finetune-epochs and so on go by.
SCRATCH_STAGE = dataclasses.replace(
    FINETUNE_STAGE,
    unfreeze="all",
    views=1,
    learning_rate=1e-3,
    patience=FINETUNE_STAGE.epochs,
    train_batch_normalization=True,
)
#: Layers that were pretrained are changed with care: slowly at first, the deeper the less, and
#: averaged over the steps, of which there are as many as the cosine is long: it is at its end that
#: they settle. What they gain has to be clear, as the best of so many epochs gains by chance, too.
CAREFUL_STAGE = dataclasses.replace(
    FINETUNE_STAGE,
    views=4,
    learning_rate=3e-4,
    warmup=0.1,
    layer_decay=0.8,
    ema_momentum=0.99,
    label_smoothing=0.1,
    min_delta=2.0,
    patience=FINETUNE_STAGE.epochs,
)
