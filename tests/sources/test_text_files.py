"""CSV files keep what their text says: every file its columns, every id its zeros, every number its value."""

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.errors import DataError
from mlc.events.findings import thousands_findings
from mlc.scenario import EventScenario, NumberType
from mlc.sources import check_tables, lost_text_problems, lost_texts, number_text, scan_table, written_number
from tests.support.shop_tables import SCENARIO, shop_tables, write_shop
from tests.support.small_tables import few, folder, scenario_at, shop
from tests.support.small_tables import write_shop as write_small_shop

HEADER = "customer,day,product,price"
ROWS = ["ann,2024-03-04,p1,1", "bob,2024-03-05,p2,2.5", "eve,2024-03-06,p1,3"]


def scenario_of(place: Path, **fields: Any) -> EventScenario:
    """Read the small shop's sales from the CSV files of a folder, or as its fields say."""
    write_small_shop(place, [])
    value = shop()
    table = value["data"]["tables"]["sales"]
    value["data"]["tables"]["sales"] = {**table, "path": "in/*.csv", **fields}
    return scenario_at(place, value)


def write(place: Path, **files: str | bytes) -> None:
    (place / "in").mkdir(exist_ok=True)
    for name, content in files.items():
        raw = content if isinstance(content, bytes) else content.encode()
        (place / "in" / f"{name}.csv").write_bytes(raw)


def lines(*rows: str) -> str:
    return "\n".join(rows) + "\n"


def refused(scenario: EventScenario) -> str:
    with pytest.raises(DataError) as caught:
        check_tables(scenario)
    return "\n".join(map(str, caught.value.problems))


def rows_of(scenario: EventScenario) -> list[tuple[Any, ...]]:
    frame = scan_table(scenario, "sales").collect()
    return frame.with_columns(pl.col("day").cast(pl.String)).rows()


# ── files of one table ──────────────────────────────────────────────────────────────────────────

SOUND = lines(HEADER, *ROWS)
ALL = [("ann", "2024-03-04", "p1", 1.0), ("bob", "2024-03-05", "p2", 2.5), ("eve", "2024-03-06", "p1", 3.0)]


@pytest.mark.parametrize(
    "nothing", ["", "\n", "\ufeff", HEADER, HEADER + "\n", HEADER + "\r\n\r\n", '"customer"\n']
)
@pytest.mark.parametrize("place_of", ["a", "c"])
def test_a_file_without_rows_adds_no_rows_and_no_types(tmp_path, nothing, place_of):
    write(tmp_path, b=SOUND, **{place_of: nothing})
    assert rows_of(scenario_of(tmp_path)) == ALL


def test_a_table_whose_files_have_no_rows_is_refused_with_one_sentence(tmp_path):
    write(tmp_path, a="", b=HEADER + "\n")
    said = refused(scenario_of(tmp_path))
    assert (
        "data.tables.sales.path: a.csv and 1 more have no row below the header. Name files that have" in said
    )
    assert "\n" not in said


def test_columns_in_another_order_keep_their_values(tmp_path):
    write(tmp_path, a=SOUND, b="price,product,customer,day\n9,p3,dan,2024-03-07\n")
    assert rows_of(scenario_of(tmp_path)) == [*ALL, ("dan", "2024-03-07", "p3", 9.0)]


def test_a_column_without_a_value_in_one_file_takes_the_type_of_the_others(tmp_path):
    write(tmp_path, a=lines(HEADER, "ann,2024-03-04,p1,"), b=SOUND)
    assert rows_of(scenario_of(tmp_path)) == [("ann", "2024-03-04", "p1", None), *ALL]


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        (
            HEADER + ",shop",
            "ann,2024-03-04,p1,1,x",
            "it has a column shop, unlike a.csv. Remove shop from it",
        ),
        (
            "customer,day,product",
            "ann,2024-03-04,p1",
            "it has no column price, unlike a.csv. Add price to it",
        ),
        ("customer,day,product,Price", "ann,2024-03-04,p1,1", "it has a column 'Price', a.csv has 'price'."),
        ("dan,2024-03-04,p1,1", "ann,2024-03-05,p1,1", "Add the header line, if it has none."),
    ],
    ids=["more", "fewer", "case", "no header"],
)
@pytest.mark.parametrize("odd", ["0", "c"])
def test_the_file_with_other_columns_is_named_wherever_it_stands(tmp_path, header, row, said, odd):
    write(tmp_path, a=SOUND, b=SOUND, **{odd: lines(header, row)})
    message = refused(scenario_of(tmp_path))
    assert f"/in/{odd}.csv: " in message
    assert said in message
    assert "\n" not in message


def test_a_date_among_numbers_names_the_file_and_a_mend_that_works(tmp_path):
    write(tmp_path, a=SOUND, b=SOUND, c=lines(HEADER, "ann,2024-03-04,p1,2024-01-01"))
    message = refused(scenario_of(tmp_path))
    assert "/in/c.csv: price is a date, in a.csv it is a number." in message
    assert "add types: {price: text}" in message
    assert len(rows_of(scenario_of(tmp_path, types={"price": "text"}))) == 7


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_columnar_files_without_rows_or_values_have_no_say_in_the_types(tmp_path, kind):
    frame = pl.DataFrame({"customer": ["ann"], "day": ["2024-03-04"], "product": ["p1"], "price": [1.5]})
    frame = frame.with_columns(pl.col("day").str.to_date())
    (tmp_path / "in").mkdir()
    nothing = pl.DataFrame({c: [] for c in frame.columns}, schema=dict.fromkeys(frame.columns, pl.Null))
    for name, one in (("a", nothing), ("b", frame.with_columns(price=pl.lit(None))), ("c", frame)):
        path = tmp_path / "in" / f"{name}.{kind}"
        one.write_parquet(path) if kind == "parquet" else one.write_ipc(path)
    found = rows_of(scenario_of(tmp_path, path=f"in/*.{kind}"))
    assert found == [("ann", "2024-03-04", "p1", None), ("ann", "2024-03-04", "p1", 1.5)]


def test_json_lines_have_the_columns_and_types_of_all_files(tmp_path):
    (tmp_path / "in").mkdir()
    start = '{"customer": "ann", "day": "2024-03-04", "product": "p1"'
    files = {"a": "", "b": start + "}\n", "c": start + ', "price": 1}\n', "d": start + ', "price": 2.5}\n'}
    for name, content in files.items():
        (tmp_path / "in" / f"{name}.ndjson").write_text(content)
    scenario = scenario_of(tmp_path, path="in/*.ndjson", types={"day": "date"})
    check_tables(scenario)
    assert scan_table(scenario, "sales").collect()["price"].to_list() == [None, 1.0, 2.5]


@given(st.lists(st.lists(st.sampled_from(["1", "2.5", "", "x", "007"]), max_size=4), min_size=1, max_size=4))
@few
def test_files_read_together_are_the_same_as_their_rows_in_one_file(parts):
    with folder() as name:
        place = Path(name)
        rows = [[f"ann,2024-03-04,p1,{price}" for price in part] for part in parts]
        write(place, **{f"f{index}": lines(HEADER, *part) for index, part in enumerate(rows)})
        (place / "one").mkdir()
        (place / "one" / "all.csv").write_text(lines(HEADER, *(row for part in rows for row in part)))
        if not any(rows):
            return
        many = scan_table(scenario_of(place), "sales").collect()
        one = scan_table(scenario_of(place, path="one/all.csv"), "sales").collect()
        assert many.equals(one)
        assert many.schema == one.schema


# ── separators and encodings ────────────────────────────────────────────────────────────────────


def otherwise(separator: str) -> str:
    return "\ufeff" + SOUND.replace(",", separator).replace("2.5", "2,5").replace("\n", "\r\n")


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("packed", [False, True])
def test_another_separator_is_named_with_the_format_that_reads_it(tmp_path, separator, packed):
    content = otherwise(separator).encode()
    (tmp_path / "in").mkdir()
    name = "in/a.csv.gz" if packed else "in/a.csv"
    (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    written = "\\t" if separator == "\t" else separator
    message = refused(scenario_of(tmp_path, path=name))
    assert f'Add format: {{kind: csv, separator: "{written}"}}' in message
    assert "\n" not in message
    check_tables(scenario_of(tmp_path, path=name, format={"kind": "csv", "separator": separator}))


def test_a_separator_that_is_given_but_wrong_is_found_too(tmp_path):
    write(tmp_path, a=SOUND)
    message = refused(scenario_of(tmp_path, format={"kind": "csv", "separator": ";"}))
    assert 'looks separated by commas. Add format: {kind: csv, separator: ","}' in message


def test_semicolons_within_the_values_of_a_sound_file_are_no_separators(tmp_path):
    write(tmp_path, a=lines(HEADER, "ann;bob,2024-03-04,p1;p2,1", '"a,b",2024-03-05,p1;p2,2'))
    check_tables(scenario_of(tmp_path))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf16_is_named_as_what_it_is(tmp_path, encoding):
    write(tmp_path, a=SOUND.encode(encoding))
    assert "is UTF-16 text, not a CSV file. Write format: {kind: csv, encoding: utf-16}" in refused(
        scenario_of(tmp_path)
    )


def test_a_first_line_for_excel_is_named(tmp_path):
    write(tmp_path, a="sep=;\n" + otherwise(";"))
    assert "begins with a line for Excel (sep=;). Delete that line." in refused(scenario_of(tmp_path))


# ── names read as numbers ───────────────────────────────────────────────────────────────────────


def sales_of(customers: list[str]) -> str:
    return lines(HEADER, *(f"{who},2024-03-04,p1,1" for who in customers))


@pytest.mark.parametrize(("one", "other"), [("007", "7"), ("0", "00"), ("-0", "0"), ("012", "0012")])
def test_two_ids_that_become_one_number_are_an_error_with_mends_that_work(tmp_path, one, other):
    write(tmp_path, a=sales_of([one, other, "12345"]))
    (problem,) = lost_text_problems(scenario_of(tmp_path))
    assert "data.tables.sales: customer of sales is read as numbers, and 1 number stands for more" in str(
        problem
    )
    assert repr(one) in problem.rule
    assert repr(other) in problem.rule
    assert "add types: {customer: text} to sales" in problem.rule
    assert not lost_texts(scenario_of(tmp_path, types={"customer": "text"}))
    assert not lost_texts(scenario_of(tmp_path, types={"customer": "integer"}))


def test_zeros_of_one_width_are_reported_and_are_no_error(tmp_path):
    write(tmp_path, a=sales_of(["007", "012", "345"]))
    (lost,) = lost_texts(scenario_of(tmp_path))
    assert (lost.table, lost.column, lost.role, lost.rows, lost.of) == ("sales", "customer", "ids", 2, 3)
    assert lost.example == ("007", "7")
    assert not lost.doubled


def test_numbers_without_lost_zeros_are_silent(tmp_path):
    write(tmp_path, a=sales_of(["7", "12", "0", "-3"]))
    assert not lost_texts(scenario_of(tmp_path))


def test_zeros_far_below_the_rows_that_decide_the_type_are_found(tmp_path):
    write(tmp_path, a=sales_of(["7"] * 11_000 + ["007"]))
    (lost,) = lost_texts(scenario_of(tmp_path))
    assert (lost.rows, lost.of, lost.pair) == (1, 11_001, ("007", "7"))


@given(st.lists(st.text("0123456789", min_size=1, max_size=4), min_size=1, max_size=12))
@few
def test_exactly_the_texts_that_share_a_number_are_an_error(ids):
    with folder() as name:
        write(Path(name), a=sales_of(ids))
        lost = lost_texts(scenario_of(Path(name)))
    texts: dict[int, set[str]] = {}
    for text in ids:
        texts.setdefault(int(text), set()).add(text)
    assert sum(one.doubled for one in lost) == sum(len(same) > 1 for same in texts.values())
    assert sum(one.rows for one in lost) == sum(str(int(text)) != text for text in ids)


def csv_shop(place: Path, scenario: str = SCENARIO, **changed: Any) -> Path:
    """Write the shop as CSV files."""
    tables = {**shop_tables(), **changed}
    for name, frame in tables.items():
        frame.write_csv(place / f"{name}.csv")
    path = place / "shop.yaml"
    path.write_text(scenario.replace(".parquet", ".csv"))
    return path


def zeros(column: str, width: int = 4) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.replace("c", "").str.zfill(width).alias(column)


def test_every_command_refuses_ids_that_become_one(mlc, tmp_path):
    sales = shop_tables()["sales"]
    mixed = pl.when(pl.int_range(pl.len()) % 2 == 0).then(zeros("customer")).otherwise(zeros("customer", 1))
    path = csv_shop(
        tmp_path,
        sales=sales.with_columns(mixed),
        customers=shop_tables()["customers"].with_columns(zeros("customer")),
    )
    for command in (("check", path), ("labels", path), ("train", path)):
        result = mlc(*command)
        assert result.code == 2
        assert "customer of sales is read as numbers, and 80 numbers stand for more than one" in result.err
        assert "add types: {customer: text} to sales, and types: {customer: text} to customers" in result.err


def test_zeros_of_ids_are_a_warning_whose_mend_keeps_them(mlc, tmp_path):
    frames: dict[str, Any] = {
        name: shop_tables()[name].with_columns(zeros("customer")) for name in ("sales", "customers")
    }
    result = mlc("check", csv_shop(tmp_path, **frames))
    assert (
        "warning: customer of sales is read as numbers, which changes the text of 4,000 of 4,000"
        in result.out
    )
    mend = "add types: {customer: text} to sales, and types: {customer: text} to customers"
    assert mend in result.out
    typed = SCENARIO.replace("time: at,", "time: at, types: {customer: text},")
    typed = typed.replace("key: customer}", "key: customer, types: {customer: text}}")
    path = csv_shop(tmp_path, typed, **frames)
    assert "is read as numbers" not in mlc("check", path).out
    assert mlc("labels", path).code == 0
    assert pl.read_parquet("examples.parquet")["entity_id"].str.len_chars().unique().to_list() == [4]


@pytest.mark.slow
def test_labels_with_zeros_are_found_and_named(mlc, tmp_path):
    items = shop_tables()["items"].with_columns(kind=pl.format("0{}", pl.col("item") % 3 + 1))
    text = SCENARIO.replace("[Dress, Skirt, Shorts]", '["01", "02", "03"]')
    result = mlc("check", csv_shop(tmp_path, text, items=items))
    assert result.code == 2
    assert (
        "'01' never occurs in items.kind. The column is read as numbers; add types: {kind: text} to its table"
        in result.err
    )
    assert "kind of items is read as numbers, which changes the text of 30 of 30 labels" in result.err
    typed = text.replace("key: item}", "key: item, types: {kind: text}}")
    assert mlc("check", csv_shop(tmp_path, typed, items=items)).code == 0


# ── numbers written as text ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("values", "types"),
    [
        (["3,14", "12,5"], '{kind: number, decimal: ","}'),
        (["1,234.50", "12.5", "7"], '{kind: number, thousands: ","}'),
        (["1.234,50", "12,5"], '{kind: number, decimal: ",", thousands: "."}'),
        (["1 234", "12"], '{kind: number, thousands: " "}'),
        (["1\u202f234,5", "12,5"], '{kind: number, decimal: ",", thousands: " "}'),
        (["1'234.50", "12"], '{kind: number, thousands: "\'"}'),
        (["1\u2019234.50", "12"], '{kind: number, thousands: "\'"}'),
        (["$12", "-$3.50", "$1,200"], '{kind: number, thousands: ",", unit: "$"}'),
        (["12 €", "3,5 €"], '{kind: number, decimal: ",", unit: "€"}'),
        (["12%", "3.5%"], '{kind: number, unit: "%"}'),
        (["EUR 12,50", "EUR 3,00"], '{kind: number, decimal: ",", unit: "EUR"}'),
    ],
)
def test_numbers_as_people_write_them_are_recognised(values, types):
    written = number_text(pl.Series(values))
    assert written is not None
    assert written.types("x") == f"types: {{x: {types}}}"


@pytest.mark.parametrize(
    "values", [["a", "b"], ["p1", "p2"], ["2024-01-01"], ["12:30"], ["192.168.0.1"], ["030 123456"], [""], []]
)
def test_texts_that_are_no_numbers_are_left_alone(values):
    assert number_text(pl.Series(values, dtype=pl.String)) is None


def test_values_that_do_not_say_which_comma_they_have_get_both_mends():
    written = number_text(pl.Series(["1,234", "5,678"]))
    assert written is not None
    assert written.types("x") == (
        'types: {x: {kind: number, thousands: ","}} or types: {x: {kind: number, decimal: ","}}'
    )


@given(
    st.floats(-1e9, 1e9).map(lambda value: round(value, 2)),
    st.sampled_from([(".", ","), (",", "."), (",", " "), (".", "'"), (",", None), (".", None)]),
    st.sampled_from([None, "€", "%"]),
)
def test_a_number_written_in_any_way_is_read_back(value, signs, unit):
    decimal, thousands = signs
    text = f"{value:,.2f}".replace(".", "D").replace(",", thousands or "").replace("D", decimal)
    kind = NumberType(kind="number", decimal=decimal, thousands=thousands, unit=unit)
    shown = f"{text} {unit}" if unit else text
    assert pl.select(written_number(pl.lit(shown), kind)).item() == value


@pytest.mark.parametrize("text", ["1.5", "1.23", "12.3456", "1.2.3", "1,5,6", "0.123,4", "x", "", "."])
def test_a_number_that_is_not_written_as_the_type_says_is_no_number(text):
    kind = NumberType(kind="number", decimal=",", thousands=".")
    assert pl.select(written_number(pl.lit(text), kind)).item() is None


def prices(form: str) -> pl.DataFrame:
    sales = shop_tables()["sales"]
    texts = [form.format(price) for price in sales["price"]]
    return sales.with_columns(price=pl.Series(texts).str.replace(".", ",", literal=True))


@pytest.mark.slow
def test_a_decimal_comma_is_a_finding_whose_mend_makes_numbers(mlc, tmp_path):
    result = mlc("check", csv_shop(tmp_path, sales=prices("{:.2f}")))
    assert (
        "warning: price of sales is text, and so no number for the model: 4,000 of 4,000 values" in result.out
    )
    mend = 'types: {price: {kind: number, decimal: ","}}'
    assert f"add {mend} to sales" in result.out
    path = csv_shop(tmp_path, SCENARIO.replace("time: at,", f"time: at, {mend},"), sales=prices("{:.2f}"))
    assert "price of sales is text" not in mlc("check", path).out
    plain = csv_shop(
        tmp_path, SCENARIO.replace("time: at,", "time: at, types: {price: number},"), sales=prices("{:.2f}")
    )
    assert f"They look like numbers with a decimal comma: add {mend}" in mlc("check", plain).err


@pytest.mark.slow
def test_words_for_no_value_among_numbers_are_a_finding_whose_mend_works(mlc, tmp_path):
    some = (
        pl.when(pl.int_range(pl.len()) % 9 == 4)
        .then(pl.lit("N/A"))
        .otherwise(pl.col("price").cast(pl.String))
    )
    sales = shop_tables()["sales"].with_columns(price=some)
    result = mlc("check", csv_shop(tmp_path, sales=sales))
    assert (
        "3,556 of 4,000 values are numbers, and 444 are not: 'N/A' (the first in sales.csv, row 5)"
        in result.out
    )
    mend = 'format: {kind: csv, null_values: ["", "N/A"]}'
    assert f"add {mend}" in result.out
    path = csv_shop(tmp_path, SCENARIO.replace("time: at,", f"time: at, {mend},"), sales=sales)
    assert "price of sales is text" not in mlc("check", path).out


def test_one_text_in_a_number_column_of_one_file_is_named_with_file_row_and_value(mlc, tmp_path):
    path = write_shop(tmp_path, SCENARIO.replace("sales.parquet", "'in/*.csv'"))
    sales = shop_tables()["sales"]
    (tmp_path / "in").mkdir()
    sales[:2000].write_csv(tmp_path / "in" / "a.csv")
    late = (
        pl.when(pl.int_range(pl.len()) == 6).then(pl.lit("dear")).otherwise(pl.col("price").cast(pl.String))
    )
    sales[2000:].with_columns(price=late).write_csv(tmp_path / "in" / "b.csv")
    result = mlc("check", path)
    assert (
        "3,999 of 4,000 values are numbers, and 1 are not: 'dear' (the first in b.csv, row 7)" in result.out
    )


# ── the file that makes a column what it is ─────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("ann,yesterday,p1,1", "day is String, not a date or datetime"),
        ("7.5,2024-03-04,p1,1", "sales.customer must be text or a whole number, not Float64"),
    ],
)
def test_the_file_that_changes_the_type_of_a_column_is_named(tmp_path, row, said):
    rows = ROWS if row.startswith("ann") else [f"{index},2024-03-04,p1,1" for index in range(3)]
    write(tmp_path, a=lines(HEADER, *rows), b=lines(HEADER, *rows), c=lines(HEADER, row))
    message = refused(scenario_of(tmp_path))
    assert said in message
    assert " in c.csv, a" in message
    assert message.rstrip(".").endswith("in a.csv")


def test_keys_of_two_types_name_the_types_that_make_them_match(tmp_path):
    write(tmp_path, a=lines(HEADER, "ann,2024-03-04,1,1"))
    message = refused(scenario_of(tmp_path))
    assert "sales.product and products.code are of two types, Int64 and String" in message
    assert "Add types: {product: text} to sales" in message
    check_tables(scenario_of(tmp_path, types={"product": "text"}))


@pytest.mark.parametrize("odd", [None, "7.5"])
def test_dots_that_set_thousands_apart_in_a_file_with_semicolons_are_found(tmp_path, odd):
    values = ["1.234", "12", "3.500", *([odd] if odd else [])]
    rows = [f"ann;2024-03-04;p1;{value}" for value in values]
    write(tmp_path, a=lines(HEADER.replace(",", ";"), *rows))
    scenario = scenario_of(tmp_path, format=scenario_format())
    found = list(thousands_findings(scenario))
    assert len(found) == (0 if odd else 1)
    for finding in found:
        assert "after each of its 2 dots, such as '1.234', which is read as 1.234" in finding.found
        assert 'types: {price: {kind: number, decimal: ",", thousands: "."}} to sales' in finding.advice
    mend = {"price": {"kind": "number", "decimal": ",", "thousands": "."}}
    if not odd:
        read = scan_table(scenario_of(tmp_path, format=scenario_format(), types=mend), "sales").collect()
        assert read["price"].to_list() == [1234.0, 12.0, 3500.0]


def scenario_format() -> dict[str, str]:
    return {"kind": "csv", "separator": ";"}
