"""What a command shows."""

from cnntransfer.cli.console import Console


def test_names_cannot_break_a_line_or_command_the_terminal(capsys):
    Console().note("Rejected a\nb\x1b[31m\r\udcff.jpg: is empty; größer, 日本語")
    assert capsys.readouterr().err == (
        "Rejected a\\nb\\x1b[31m\\r\\udcff.jpg: is empty; größer, 日本語\n"
    )
