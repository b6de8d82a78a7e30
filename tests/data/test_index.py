"""Listing images: three layouts, odd names, what is ignored and what is refused."""

import os
from pathlib import Path

import pytest

from cnntransfer.data.dataset import read_dataset
from cnntransfer.data.fitting import InputSpec
from cnntransfer.data.index import Entry, image_files, list_images
from cnntransfer.errors import DataError


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def found(listing):
    return [
        (e.path.relative_to(listing.root).as_posix(), e.label, e.subset) for e in listing.entries
    ]


def refusal(source):
    with pytest.raises(DataError) as caught:
        list_images(source)
    return str(caught.value)


def manifest(root, text, name="list.csv"):
    path = root / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


# ---- Folders


def test_one_folder_per_class(tmp_path):
    touch(tmp_path, "b/2.png", "b/10.JPG", "a/deep/er/1.jpeg", "a/0.webp")
    listing = list_images(tmp_path)
    assert found(listing) == [
        ("a/0.webp", "a", None),
        ("a/deep/er/1.jpeg", "a", None),
        ("b/10.JPG", "b", None),
        ("b/2.png", "b", None),
    ]
    assert listing.class_names == ("a", "b")
    assert (listing.ignored, listing.empty_classes) == (0, ())


def test_what_is_hidden_is_not_seen_and_what_is_no_image_is_counted(tmp_path):
    touch(tmp_path, "a/1.png", "a/notes.txt", "a/no-suffix", "loose.png", "readme.md")
    touch(tmp_path, ".git/x.png", "a/.hidden.png", "a/.cache/y.png", "__MACOSX/a/._1.png")
    touch(tmp_path, "a/Thumbs.db", "a/desktop.ini", "a/.DS_Store")
    (tmp_path / "empty").mkdir()
    listing = list_images(tmp_path)
    assert found(listing) == [("a/1.png", "a", None)]
    assert listing.ignored == 4
    assert listing.empty_classes == ("empty",)


@pytest.mark.parametrize("name", ["val", "valid", "validation", "VAL", "Validation"])
def test_subset_folders(tmp_path, name):
    touch(tmp_path, "train/a/1.png", f"{name}/a/2.png", "test/b/3.png", "other/a/4.png")
    assert found(list_images(tmp_path)) == sorted(
        [
            ("train/a/1.png", "a", "train"),
            (f"{name}/a/2.png", "a", "val"),
            ("test/b/3.png", "b", "test"),
        ]
    )
    assert list_images(tmp_path).ignored == 1


def test_training_folder_alone(tmp_path):
    touch(tmp_path, "Training/a/1.png", "Training/b/2.png")
    assert [entry.subset for entry in list_images(tmp_path).entries] == ["train", "train"]


def test_a_class_that_is_called_train(tmp_path):
    touch(tmp_path, "train/1.png", "bus/2.png")
    assert list_images(tmp_path).class_names == ("bus", "train")


@pytest.mark.parametrize(
    "name", ["<script>", "mit Leerzeichen ", "猫", "é", "a,b\"c'", "👩‍🔬", "0"]
)
def test_odd_class_names(tmp_path, name):
    touch(tmp_path, f"{name}/1.png", "z z/1.png")
    assert list_images(tmp_path).class_names == tuple(sorted([name, "z z"]))


@pytest.mark.parametrize("name", [b"two\nlines", b"back\rward", b"tab\tbed", b"latin\xe91"])
def test_class_names_that_no_line_of_text_can_hold(tmp_path, name):
    import os

    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    touch(folder, "1.png")
    assert refusal(tmp_path) == (
        "Expected class names that fit on a line of UTF-8 text. "
        f"Received: {folder.name!r} in {tmp_path}. Rename the class."
    )


# ---- Links


def test_links_to_folders_and_files_are_followed(tmp_path):
    touch(tmp_path / "elsewhere", "1.png")
    touch(tmp_path / "data", "b/2.png")
    (tmp_path / "data" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "b" / "3.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    assert found(list_images(tmp_path / "data")) == [
        ("a/1.png", "a", None),
        ("b/2.png", "b", None),
        ("b/3.png", "b", None),
    ]


@pytest.mark.parametrize("target", [".", "..", "../.."])
def test_a_loop_ends_and_brings_in_no_other_class(tmp_path, target):
    root = touch(tmp_path / "data", "a/1.png", "b/2.png")
    (root / "a" / "loop").symlink_to(target)
    listing = list_images(root)
    assert found(listing) == [("a/1.png", "a", None), ("b/2.png", "b", None)]
    assert listing.ignored == 0


def test_a_folder_linked_twice_is_listed_twice_and_nothing_is_ignored(tmp_path):
    touch(tmp_path, "a/1.png")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert [label for _, label, _ in found(list_images(tmp_path))] == ["a", "b"]
    assert list_images(tmp_path).ignored == 0


def test_image_files(tmp_path):
    touch(tmp_path, "b.png", "a/c.jpg", "a/d.txt", ".e.png")
    assert list(image_files(tmp_path)) == [tmp_path / "b.png", tmp_path / "a" / "c.jpg"]


# ---- Manifests


def test_a_manifest(tmp_path):
    text = "file,label,subset\na/1.png,cat,train\n2.png, dog ,Valid\n\n/abs/3.png,cat,\n,,\n"
    listing = list_images(manifest(tmp_path, text))
    assert listing.entries == (
        Entry(tmp_path / "a/1.png", "cat", "train"),
        Entry(tmp_path / "2.png", "dog", "val"),
        Entry(Path("/abs/3.png"), "cat", None),
    )
    assert listing.root == tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.csv", b"\xef\xbb\xbffile,label\n1.png,cat\n"),
        ("list.csv", b"file,label\r\n1.png,cat\r\n"),
        ("list.csv", b"Label , FILE,comment\ncat,1.png,nice\n"),
        ("list.csv", b'file,label\n"1.png","cat"'),
        ("LIST.TSV", b"file\tlabel\n1.png\tcat\n"),
        ("list.tsv", b"\xef\xbb\xbffile\tlabel\tsubset\n1.png\tcat\n"),
    ],
)
def test_forms_of_a_manifest(tmp_path, name, text):
    assert list_images(manifest(tmp_path, text, name)).entries == (
        Entry(tmp_path / "1.png", "cat"),
    )


def test_a_missing_file_is_rejected_when_it_is_read(tmp_path, photos):
    text = f"file,label\n{photos}/red/red0.png,red\n{photos}/blue/blue0.png,blue\nno.png,red\n"
    dataset, _ = read_dataset(list_images(manifest(tmp_path, text)), InputSpec((8, 8)))
    assert len(dataset) == 2
    assert [(r.path, r.reason) for r in dataset.rejected] == [
        (tmp_path / "no.png", "does not exist")
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "",
            ": expected a first line 'file,label' or 'file,label,subset'. Received: an empty file.",
        ),
        (
            "path,label\n1.png,a\n",
            ": expected a first line 'file,label' or 'file,label,subset'. Received: 'path,label'.",
        ),
        (
            "file;label\n1.png;a\n",
            ": expected a first line 'file,label' or 'file,label,subset'. Received: 'file;label'."
            " The header holds ';': save it with commas, or as .tsv.",
        ),
        (
            "file\tlabel\n1.png\ta\n",
            r": expected a first line 'file,label' or 'file,label,subset'. Received: 'file\tlabel'."
            r" The header holds '\t': save it with commas, or as .tsv.",
        ),
        (
            "path;x,label\n1.png,a\n",
            ": expected a first line 'file,label' or 'file,label,subset'."
            " Received: 'path;x,label'.",
        ),
        (
            "file,label,Label\n1.png,a,b\n",
            ": expected one column of every name. Received: 2 called 'label'. Rename or remove the"
            " others.",
        ),
        ("file,label\n", ": expected at least one line after the header. Received: none."),
        ("file,label\n\n1.png\n", ", line 3: expected a label. Received: an empty cell."),
        ("file,label\n,cat\n", ", line 2: expected a file. Received: an empty cell."),
        (
            "file,label,subset\n1.png,a,trian\n",
            ", line 2: expected a subset out of train, val, test. Received: 'trian'."
            " Did you mean 'train'?",
        ),
    ],
)
def test_wrong_manifests(tmp_path, text, expected):
    path = manifest(tmp_path, text)
    assert refusal(path) == f"{path}{expected}"


@pytest.mark.parametrize("mark", [",", ";"])
def test_a_tsv_manifest_with_other_separators(tmp_path, mark):
    path = manifest(tmp_path, f"file{mark}label\n1.png{mark}a\n", "list.tsv")
    assert refusal(path) == (
        f"{path}: expected a first line 'file,label' or 'file,label,subset'. Received: "
        f"'file{mark}label'. The header holds {mark!r}: save it with tabs, or as .csv."
    )


def test_a_line_that_says_the_same_again_does_not_count(tmp_path):
    text = (
        "file,label,subset\n1.png,cat,val\n2.png,cat,\n./1.png, cat ,Valid\n"
        f"2.png,cat,\n2.png,cat,\n{tmp_path}/1.png,cat,validation\n"
    )
    listing = list_images(manifest(tmp_path, text))
    assert listing.entries == (
        Entry(tmp_path / "1.png", "cat", "val"),
        Entry(tmp_path / "2.png", "cat"),
    )
    assert listing.repeated == 4


def test_a_relative_manifest_and_absolute_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manifest(tmp_path, f"file,label\n1.png,cat\n{tmp_path}/1.png,cat\n")
    listing = list_images(Path("list.csv"))
    assert (listing.entries, listing.repeated) == ((Entry(Path("1.png"), "cat"),), 1)


@pytest.mark.parametrize(
    ("again", "received"),
    [
        ("1.png,dog,val", "'1.png' as 'dog' in val, but on line 2 as 'cat' in val"),
        ("./1.png,cat,test", "'./1.png' as 'cat' in test, but on line 2 as 'cat' in val"),
        ("1.png,cat,", "'1.png' as 'cat', but on line 2 as 'cat' in val"),
    ],
)
def test_a_file_cannot_be_two_things(tmp_path, again, received):
    path = manifest(tmp_path, f"file,label,subset\n1.png,cat,val\n2.png,dog,\n{again}\n")
    assert refusal(path) == (
        f"{path}, line 4: expected one label and subset for every file. Received: {received}. "
        "Remove the wrong one of the two lines."
    )


def test_a_manifest_in_another_encoding(tmp_path):
    path = manifest(tmp_path, "file,label\n1.png,é\n".encode("latin-1"))
    assert refusal(path).startswith(f"{path}: expected a readable UTF-8 text file. Received: ")


# ---- Refusals


def test_images_directly_in_the_folder(tmp_path):
    touch(tmp_path, "1.jpg", "2.jpg", "notes.txt")
    assert refusal(tmp_path) == (
        f"Expected a folder with one sub-folder of images per class, such as {tmp_path}/cats/1.jpg."
        f" Received: {tmp_path}, with 2 images directly in it and none in sub-folders. "
        "Move them into a folder per class."
    )


def test_folders_without_images(tmp_path):
    assert refusal(tmp_path) == (
        "Expected a folder with one sub-folder of images per class. "
        f"Received: {tmp_path}, which holds no image. "
        f"Put the photos of a class into a folder of its name, such as {tmp_path}/cats/1.jpg"
    )
    touch(tmp_path, "a/1.txt", "b/2.txt")
    assert refusal(tmp_path) == (
        "Expected a folder with one sub-folder of images per class. "
        f"Received: {tmp_path}, with no image in its sub-folders (a, b); 2 other files."
    )


def test_what_is_no_folder(tmp_path):
    touch(tmp_path, "photos/a/1.png", "cat.jpg")
    assert refusal(tmp_path / "cat.jpg") == (
        "Expected a folder with one sub-folder per class, or a .csv or .tsv manifest. "
        f"Received: {tmp_path}/cat.jpg, a file. "
        f"To classify one image: cnntransfer predict {tmp_path}/cat.jpg"
    )
    assert refusal(tmp_path / "photo") == (
        "Expected a folder with one sub-folder per class, or a manifest. "
        f"Received: {tmp_path}/photo, which does not exist. Did you mean 'photos'?"
    )
    assert refusal(tmp_path / "no" / "where").endswith("where, which does not exist.")


def test_a_class_that_may_not_be_read_is_not_left_out(tmp_path, monkeypatch):
    """Who runs the tests may be root, who may read everything."""
    for name in ("a", "b"):
        (tmp_path / name / "more").mkdir(parents=True)
        (tmp_path / name / "1.png").write_bytes(b"")
    scandir, closed = os.scandir, tmp_path / "b" / "more"

    def refuse(path):
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    expected = f"Expected a readable folder. Received: {closed} (permission denied)."
    assert refusal(tmp_path) == expected


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert refusal(tmp_path) == (
        f"Expected a readable folder. Received: {tmp_path} (permission denied)."
    )
