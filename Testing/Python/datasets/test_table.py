"""Tables as spreadsheets of any country save them."""

import pytest

from QualitySentinelLib.datasets.table import age_in_years, metadata_of, read_table
from QualitySentinelLib.errors import InputError

GERMAN = "Fall;Größe;Alter\r\nMüller;1,75;63\r\nJosé;1.234,5;7\r\n"
READ = [{"Fall": "Müller", "Größe": "1.75", "Alter": "63"}, {"Fall": "José", "Größe": "1234.5", "Alter": "7"}]


@pytest.mark.parametrize(
    "content",
    [
        GERMAN.encode(),
        GERMAN.encode("utf-8-sig"),
        GERMAN.encode("utf-16"),
        GERMAN.replace(";", "\t").encode("utf-16"),
        GERMAN.encode("cp1252"),
        ("sep=;\r\n" + GERMAN).encode("utf-8-sig"),
        ('"sep=;"\r\n' + GERMAN).encode(),
        ("SEP=\t\r\n" + GERMAN.replace(";", "\t")).encode(),
        GERMAN.replace("\r\n", "\r").encode(),
        GERMAN.replace("Fall", '"Fall"').replace(";1,75", '; "1,75"'.replace(" ", "")).encode(),
    ],
)
def test_a_table_is_read_however_a_spreadsheet_saved_it(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    notes = []
    assert read_table(path, notes) == READ
    assert notes == [
        "table.csv: is not UTF-8 and was read as Windows-1252; save it as UTF-8 to be sure"
    ] * (content == GERMAN.encode("cp1252"))


def test_commas_that_are_not_decimal_stay(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('case,size\na,"1,234"\n')
    assert read_table(path) == [{"case": "a", "size": "1,234"}]
    path.write_text("case;findings;size\na;1,2,3;1,5\nb;4;large\n")
    assert read_table(path) == [
        {"case": "a", "findings": "1,2,3", "size": "1,5"}, {"case": "b", "findings": "4", "size": "large"},
    ]  # fmt: skip


def test_a_header_may_quote_the_other_delimiter(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('"name, first, and last";age\nx;3\n')
    assert read_table(path) == [{"name, first, and last": "x", "age": "3"}]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"PK\x03\x04\0\0", "is a spreadsheet, not a CSV file"),
        (b'case,ct\n"never closed\n', "is not a table"),
        (b"case\n\x81\n", "is not a table"),
    ],
)
def test_what_is_not_a_table_is_refused_in_one_line(tmp_path, content, text):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(InputError, match=f"table.csv: {text}") as refused:
        read_table(tmp_path / "table.csv")
    assert "\n" not in str(refused.value)


def test_metadata_have_common_names_and_units():
    row = {"Patient Age": "063Y", "Gender": "weiblich", "site": "Köln", "x": "n/a", "kVp": "120", "": "y"}
    assert metadata_of(row) == {"age": "63", "sex": "weiblich", "institution": "Köln", "kvp": "120"}
    assert metadata_of({"age": "018M"}) == {"age": "1"}
    assert metadata_of({"age": ">89"}) == {"age": ">89"}
    assert [age_in_years(text) for text in ("7 years", "100D", "63.5", "unknown", "1²")] == [7, 0, 63.5, None, None]
