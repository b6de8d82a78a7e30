from __future__ import annotations


def test_bundle_learns_the_colours(bundle):
    assert bundle.metadata["metrics"]["val"]["accuracy"] == 1.0
    assert bundle.class_names == ("blue", "green", "red")


def test_cli_fixture(cli, bundle, photos):
    code, out, err = cli("predict", "-m", bundle.path, photos / "red" / "red0.png")
    assert code == 0, err
    assert "red" in out.splitlines()[1]
