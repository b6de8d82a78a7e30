from __future__ import annotations

import csv
import json

import pytest


@pytest.mark.parametrize(
    ("model", "least"), [("mobilenet", 0.79), ("mobilenet_v2", 0.80), ("resnet50", 0.89)]
)
def test_predict_names_what_is_on_imagenet_photos(cli, shared, weights, model, least):
    photos = shared / "data" / "imagenet-check"
    with (photos / "labels.csv").open(newline="", encoding="utf-8") as file:
        expected = {row["file"]: int(row["class_index"]) for row in csv.DictReader(file)}
    assert len(expected) == 200

    code, out, err = cli("predict", "-m", model, "--json", "--top", "1", photos)

    assert code == 0, err
    from cnntransfer.pretrained import imagenet_classes

    classes = imagenet_classes()
    predictions = json.loads(out)["predictions"]
    right = sum(p["label"] == classes[expected[p["file"].rsplit("/", 1)[1]]] for p in predictions)
    assert len(predictions) == 200
    assert right / 200 >= least
