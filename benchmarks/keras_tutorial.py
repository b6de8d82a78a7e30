"""Transfer learning as the Keras documentation and most tutorials write it.

The other side of ``finetune_speed.py``: a frozen ``keras.applications`` network inside ``fit``,
images from ``ImageDataGenerator.flow_from_directory``, a new dense head, 10 epochs. With the name
of a layer, the other side of ``stage_speed.py``: it and all layers above, but for batch
normalisation, are then unfrozen and trained for 10 epochs more with a lower learning rate. Prints
the last and the best epoch's validation accuracy, and the seconds of the last ``fit``, as JSON.

    python benchmarks/keras_tutorial.py FOLDER_WITH_TRAIN_AND_VAL resnet50 WEIGHTS_FILE SEED \
        [LAYER]
"""

import json
import sys
import time
from pathlib import Path

import keras
from tensorflow.keras.preprocessing.image import ImageDataGenerator

CONSTRUCTORS = {
    "mobilenet": ("MobileNet", "mobilenet", 224),
    "mobilenet_v2": ("MobileNetV2", "mobilenet_v2", 224),
    "resnet50": ("ResNet50", "resnet", 224),
    "vgg16": ("VGG16", "vgg16", 224),
    "inception_v3": ("InceptionV3", "inception_v3", 299),
}


def main() -> None:
    data, name, weights = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    keras.utils.set_random_seed(int(sys.argv[4]))
    unfreeze = sys.argv[5] if len(sys.argv) > 5 else None
    constructor, module, side = CONSTRUCTORS[name]
    size = (side, side)
    preprocess_input = getattr(keras.applications, module).preprocess_input
    training_images = ImageDataGenerator(
        preprocessing_function=preprocess_input,
        rotation_range=10,
        width_shift_range=0.05,
        height_shift_range=0.05,
        zoom_range=0.1,
        horizontal_flip=True,
    )
    validation_images = ImageDataGenerator(preprocessing_function=preprocess_input)
    training = training_images.flow_from_directory(data / "train", size, batch_size=32)
    validation = validation_images.flow_from_directory(data / "val", size, batch_size=32)

    base = getattr(keras.applications, constructor)(
        weights=None, include_top=False, input_shape=(*size, 3)
    )
    base.load_weights(weights)
    base.trainable = False
    inputs = keras.Input((*size, 3))
    x = base(inputs, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    outputs = keras.layers.Dense(training.num_classes, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    started = time.perf_counter()
    history = model.fit(training, validation_data=validation, epochs=10, verbose=0)
    if unfreeze:
        base.trainable = True
        names = [layer.name for layer in base.layers]
        for number, layer in enumerate(base.layers):
            is_normalization = isinstance(layer, keras.layers.BatchNormalization)
            layer.trainable = number >= names.index(unfreeze) and not is_normalization
        optimizer = keras.optimizers.Adam(1e-5)
        model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
        started = time.perf_counter()
        history = model.fit(training, validation_data=validation, epochs=10, verbose=0)
    seconds = time.perf_counter() - started
    model.save(Path(sys.argv[1]).parent / f"tutorial-{name}.keras")
    accuracies = history.history["val_accuracy"]
    figures = {"val_accuracy": accuracies[-1], "best_val_accuracy": max(accuracies)}
    print(json.dumps({**figures, "seconds": seconds}))


if __name__ == "__main__":
    main()
