from __future__ import annotations

import csv

import numpy as np


def test_networks_are_told_apart_on_imagenet_photos(shared, weights, tmp_path):
    """ResNet50 is better than MobileNet, and 200 photos are enough to say so."""
    from cnntransfer.comparison import compare
    from cnntransfer.predict import predict
    from cnntransfer.pretrained import imagenet_classes, open_model

    photos = shared / "data" / "imagenet-check"
    with (photos / "labels.csv").open(newline="", encoding="utf-8") as file:
        labels = {row["file"]: int(row["class_index"]) for row in csv.DictReader(file)}
    manifest = tmp_path / "labels.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "label"))
        names = imagenet_classes()
        writer.writerows((photos / name, names[place]) for name, place in labels.items())

    models = {name: open_model(name) for name in ("mobilenet", "resnet50")}
    result = compare(models, manifest)
    weaker, stronger = (evaluation.accuracy for evaluation in result.evaluations.values())
    (test,) = result.tests
    assert test.p_value < 0.01
    gained = test.only_second_right - test.only_first_right
    assert gained == round(200 * (stronger - weaker)) > 10
    assert len(result.differences) >= test.only_first_right + test.only_second_right

    for name, model in models.items():
        predicted = predict(model, [photos / file for file in labels][:10])
        expected = np.stack([prediction.probabilities for prediction in predicted])
        assert np.array_equal(result.answers.probabilities[name][:10], expected)
