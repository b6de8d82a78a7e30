"""What Linux says of the processor, and what there is to know elsewhere."""

import platform

import pytest

from cnntransfer import processor


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\n", {"fpu", "avx2", "avx512_bf16"}),
        ("flags\t\t: fpu avx2\n\nflags\t\t: fpu sse\n", {"fpu", "avx2"}),
        ("Features\t: fp asimd bf16\n", {"fp", "asimd", "bf16"}),
        ("model name\t: \xff bf16 x\nflags\t\t: fpu\n", {"fpu"}),
        ("model name\t: x\n", {"arm64", "a chip"}),
        (None, {"arm64", "a chip"}),
    ],
)
def test_what_it_can_do(monkeypatch, tmp_path, said, expected):
    file = tmp_path / "cpuinfo"
    if said is not None:
        file.write_text(said, encoding="latin-1")
    monkeypatch.setattr(processor, "Path", lambda name: file if name == "/proc/cpuinfo" else None)
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "processor", lambda: "a chip")
    assert processor.features.__wrapped__() == expected


def test_this_one_can_do_something():
    assert processor.features()
