"""IDX files: listed with labels and subsets, read like PNG files, refused in one line."""

import gzip
import hashlib
import io
import threading

import numpy as np
import pytest
from PIL import Image

from cnntransfer.data import idx
from cnntransfer.data.dataset import read_dataset
from cnntransfer.data.fitting import InputSpec, Resize
from cnntransfer.data.images import is_there, load, read, read_bytes, read_within, stored_size
from cnntransfer.data.index import images_below, list_images
from cnntransfer.errors import DataError, ImageError
from tests.conftest import idx_bytes

RANDOM = np.random.default_rng(0)
TRAIN = RANDOM.integers(0, 256, (12, 6, 5), np.uint8)
T10K = RANDOM.integers(0, 256, (4, 6, 5), np.uint8)


def write(folder, name, values, *, compressed=True):
    folder.mkdir(parents=True, exist_ok=True)
    data = idx_bytes(values) if isinstance(values, np.ndarray) else values
    path = folder / (f"{name}.gz" if compressed else name)
    path.write_bytes(gzip.compress(data) if compressed else data)
    return path


def make(folder, *, compressed=True, names=("train", "t10k"), mark="-"):
    """Training images labelled 0, 1, 2, 0, ...; test images 0, 1, 2, 0."""
    for name, images in (("train", TRAIN), ("t10k", T10K)):
        if name in names:
            labels = (np.arange(len(images)) % 3).astype(np.uint8)
            write(folder, f"{name}-images{mark}idx3-ubyte", images, compressed=compressed)
            write(folder, f"{name}-labels{mark}idx1-ubyte", labels, compressed=compressed)
    return folder


def refusal(source):
    with pytest.raises(DataError) as caught:
        list_images(source)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ---- Listing


@pytest.mark.parametrize(("compressed", "suffix"), [(True, ".gz"), (False, "")])
@pytest.mark.parametrize("mark", ["-", "."])
def test_images_have_names_labels_and_subsets(tmp_path, compressed, suffix, mark):
    listing = list_images(make(tmp_path, compressed=compressed, mark=mark))
    found = [
        (e.path.relative_to(listing.root).as_posix(), e.label, e.subset) for e in listing.entries
    ]
    train, t10k = (f"{name}-images{mark}idx3-ubyte{suffix}" for name in ("train", "t10k"))
    assert found[:2] == [(f"{train}/00000", "0", "train"), (f"{train}/00001", "1", "train")]
    assert found[-1] == (f"{t10k}/00003", "0", "test")
    assert len(found) == 16
    assert listing.class_names == ("0", "1", "2")
    assert listing.ignored == 0


def test_one_of_the_two_is_enough(tmp_path):
    assert {e.subset for e in list_images(make(tmp_path / "a", names=["train"])).entries} == {
        "train"
    }
    assert {e.subset for e in list_images(make(tmp_path / "b", names=["t10k"])).entries} == {"test"}


def test_a_file_that_is_there_in_both_forms_counts_once(tmp_path):
    make(make(tmp_path), compressed=False)
    listing = list_images(tmp_path)
    assert len(listing.entries) == 16
    assert listing.entries[0].path.parent.name == "train-images-idx3-ubyte"
    assert listing.ignored == 4


def test_other_files_beside_are_counted(tmp_path):
    make(tmp_path)
    (tmp_path / "README.md").touch()
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    assert list_images(tmp_path).ignored == 1


@pytest.mark.parametrize("name", idx.NAMES_FILES)
def test_a_text_file_beside_names_the_classes(tmp_path, name):
    make(tmp_path / "fashion")
    (tmp_path / "fashion" / name).write_text("\ufeffnull\n eins \nzwei\ndrei\n\n", encoding="utf-8")
    assert [e.label for e in list_images(tmp_path / "fashion").entries[:3]] == [
        "null",
        "eins",
        "zwei",
    ]


@pytest.mark.parametrize("folder", ["fashion-mnist", "FashionMNIST/raw", "my Fashion"])
def test_fashion_mnist_is_told_by_the_folder(tmp_path, folder):
    listing = list_images(make(tmp_path / folder))
    assert [e.label for e in listing.entries[:3]] == ["T-shirt/top", "Trouser", "Pullover"]


def test_fashion_mnist_is_told_by_its_labels(tmp_path, monkeypatch):
    make(tmp_path, names=["train"])
    labels = bytes(np.arange(12) % 3)
    monkeypatch.setattr(idx, "_FASHION_LABELS", (hashlib.sha256(labels).hexdigest(),))
    assert list_images(tmp_path).class_names == ("Pullover", "T-shirt/top", "Trouser")


def test_more_labels_than_fashion_mnist_has_are_numbers(tmp_path):
    write(tmp_path / "fashion", "train-images-idx3-ubyte", TRAIN)
    write(tmp_path / "fashion", "train-labels-idx1-ubyte", np.arange(12, dtype=np.uint8))
    assert "11" in list_images(tmp_path / "fashion").class_names


# ---- What is in them


def test_a_member_is_the_pgm_file_of_its_pixels(tmp_path):
    path = make(tmp_path) / "train-images-idx3-ubyte.gz" / "00003"
    file = io.BytesIO()
    Image.fromarray(TRAIN[3]).save(file, "PPM")
    assert read_bytes(path) == file.getvalue()
    assert read_bytes(str(path)) == b"P5\n5 6\n255\n" + TRAIN[3].tobytes()
    assert stored_size(path) == (6, 5)
    assert is_there(path)
    assert not is_there(tmp_path / "elsewhere" / "train-images-idx3-ubyte.gz" / "00003")


@pytest.mark.parametrize("resize", list(Resize))
def test_the_same_pixels_from_png_and_from_idx(tmp_path, resize):
    make(tmp_path)
    spec = InputSpec((9, 16), resize)
    for number, pixels in enumerate(TRAIN):
        path = tmp_path / "train-images-idx3-ubyte.gz" / f"{number:05d}"
        png = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(png)
        np.testing.assert_array_equal(load(path), load(png))
        np.testing.assert_array_equal(load(path), np.repeat(pixels[..., None], 3, axis=2))
        np.testing.assert_array_equal(read(path, spec), read(png, spec))
        np.testing.assert_array_equal(read_within(path, 4), read_within(png, 4))


def test_the_same_features_from_png_and_from_idx(tmp_path, bundle):
    from cnntransfer.predict import expand, predict

    make(tmp_path / "idx", names=["t10k"])
    (tmp_path / "png").mkdir()
    for number, pixels in enumerate(T10K):
        Image.fromarray(pixels).save(tmp_path / "png" / f"{number}.png")
    one, other = (list(predict(bundle, expand([tmp_path / kind]))) for kind in ("idx", "png"))
    assert [p.path.name for p in one] == ["00000", "00001", "00002", "00003"]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.probabilities, b.probabilities)


def test_a_data_set_knows_them_by_their_pixels(tmp_path):
    pixels = np.concatenate([TRAIN, TRAIN[:1]])
    write(tmp_path, "train-images-idx3-ubyte", pixels)
    write(tmp_path, "train-labels-idx1-ubyte", (np.arange(13) % 3).astype(np.uint8))
    dataset, decoded = read_dataset(list_images(tmp_path), InputSpec((6, 5)))
    digests = [sample.digest for sample in dataset.samples]
    assert (
        digests[0]
        == digests[12]
        == hashlib.sha256(b"P5\n5 6\n255\n" + pixels[0].tobytes()).hexdigest()
    )
    assert len(set(digests)) == 12
    assert dataset.name_of(dataset.samples[3].path) == "train-images-idx3-ubyte.gz/00003"
    np.testing.assert_array_equal(decoded[3][..., 0], pixels[3])


def test_a_file_is_decompressed_once(tmp_path, monkeypatch):
    paths = idx.members(make(tmp_path) / "train-images-idx3-ubyte.gz")
    monkeypatch.setattr(gzip, "open", None)  # Would fail.
    threads = [threading.Thread(target=lambda: [read_bytes(p) for p in paths]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_bytes(paths[0]).endswith(TRAIN[0].tobytes())


def test_a_file_that_was_changed_is_read_again(tmp_path):
    path = make(tmp_path) / "train-images-idx3-ubyte.gz"
    read_bytes(path / "00000")
    write(tmp_path, "train-images-idx3-ubyte", T10K)
    assert read_bytes(path / "00000").endswith(T10K[0].tobytes())


def test_all_images_below_a_folder(tmp_path):
    make(tmp_path / "deep", names=["t10k"])
    (tmp_path / "x.png").touch()
    names = [path.relative_to(tmp_path).as_posix() for path in images_below(tmp_path)]
    assert names == ["x.png", *(f"deep/t10k-images-idx3-ubyte.gz/0000{n}" for n in range(4))]


def test_a_folder_of_that_name_is_a_folder(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").mkdir()
    path = tmp_path / "train-images-idx3-ubyte" / "00001"
    path.write_bytes(b"P5\n1 1\n255\n\x07")
    assert load(path).tolist() == [[[7, 7, 7]]]
    (tmp_path / "train-images-idx3-ubyte" / "a").mkdir()
    assert "no image in its sub-folders" in refusal(tmp_path)


# ---- What is refused


@pytest.mark.parametrize("name", ["00012", "x", "-1", "1e3"])
def test_there_is_no_such_image(tmp_path, name):
    path = make(tmp_path) / "train-images-idx3-ubyte.gz" / name
    with pytest.raises(ImageError):
        read_bytes(path)


def test_it_says_which_numbers_there_are(tmp_path):
    path = make(tmp_path) / "train-images-idx3-ubyte.gz" / "00012"
    with pytest.raises(ImageError, match="does not exist: expected a number from 00000 to 00011"):
        read_bytes(path)


IMAGES, LABELS = idx_bytes(TRAIN), idx_bytes(np.zeros(12, np.uint8))


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (
            IMAGES[:-1],
            LABELS,
            "expected 12 images of 6 x 5 pixels, 360 bytes after the header. Received: 359",
        ),
        (IMAGES + b"x", LABELS, "360 bytes after the header. Received: more"),
        (IMAGES, LABELS[:-1], "expected 12 labels, 12 bytes after the header. Received: 11"),
        (
            IMAGES,
            idx_bytes(np.zeros(11, np.uint8)),
            "expected 12 labels, one for each image in train-images",
        ),
        (
            LABELS,
            LABELS,
            "an IDX file of images, which begins with 00 00 08 03. Received: 00 00 08 01",
        ),
        (
            IMAGES,
            IMAGES,
            "an IDX file of labels, which begins with 00 00 08 01. Received: 00 00 08 03",
        ),
        (idx_bytes(TRAIN, b"\0\0\x0d\x03"), LABELS, "Received: 00 00 0d 03"),
        (b"", LABELS, "Received: an empty file"),
        (b"<html>not found</html>", LABELS, "Received: 3c 68 74 6d"),
        (IMAGES[:9], LABELS, "expected a header of 16 bytes. Received: 9 bytes"),
        (
            idx_bytes(TRAIN[:0]),
            idx_bytes(np.zeros(0, np.uint8)),
            "expected images. Received: a header that says none",
        ),
        (b"\0\0\x08\x03" + b"\xff" * 12, LABELS, "is larger than 2048 MB"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, images, labels, said):
    write(tmp_path, "train-images-idx3-ubyte", images)
    write(tmp_path, "train-labels-idx1-ubyte", labels)
    assert said in refusal(tmp_path)


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-20], lambda data: b"no" + data, lambda data: data[:-8] + bytes(8)]
)
def test_a_damaged_gzip_file_is_one_line(tmp_path, spoil):
    path = make(tmp_path) / "train-images-idx3-ubyte.gz"
    path.write_bytes(spoil(path.read_bytes()))
    assert f"{path}: expected an intact gzip file. Received:" in refusal(tmp_path)
    with pytest.raises(ImageError, match="expected an intact gzip file"):
        read_bytes(path / "00000")


def test_labels_that_are_missing(tmp_path):
    make(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    assert "Expected t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz beside" in refusal(
        tmp_path
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            b"a\nb\n",
            "expected a name for each of the labels 0 to 2, one a line. Received: 2 names.",
        ),
        (b"a\nb\na\n", "Received: 'a' more than once."),
        (b"\xff\xfe", "expected a readable UTF-8 text file"),
    ],
)
def test_names_that_do_not_fit(tmp_path, text, said):
    (make(tmp_path) / "labels.txt").write_bytes(text)
    assert said in refusal(tmp_path)


def test_the_folder_is_to_be_given(tmp_path):
    make(tmp_path)
    assert f"Give {tmp_path}" in refusal(tmp_path / "train-images-idx3-ubyte.gz")


def test_a_folder_above_says_where_they_are(tmp_path):
    make(tmp_path / "MNIST" / "raw")
    assert f"Its IDX files are in {tmp_path / 'MNIST' / 'raw'}: give that folder." in refusal(
        tmp_path / "MNIST"
    )


def test_a_pattern_stands_for_all_images_of_its_files(tmp_path):
    make(tmp_path)
    (tmp_path / "other.gz").write_bytes(b"")
    from cnntransfer.predict import expand

    pattern, file = str(tmp_path / "*-images*.gz"), tmp_path / "t10k-images-idx3-ubyte.gz"
    found = expand([pattern])
    assert len(found) > len(idx.members(file)) > 1
    assert set(idx.members(file)) < set(found)
