import gzip
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from housing.data.columns import NONE
from housing.data.load import AMES, SAMPLE, Sales, clean, is_sample, load, read_file, sales_schema, split, to_records
from portfolio_shared.data.checks import DataError, DataReport, validate_frame


@pytest.fixture
def raw(some_rows) -> pd.DataFrame:
    """A few sales, cell for cell, to put dirt into that the file has in other places or nowhere."""
    return some_rows(60)


def cleaned(raw: pd.DataFrame) -> tuple[pd.DataFrame, DataReport]:
    report = DataReport("test", rows_read=len(raw))
    return clean(raw, report), report


def test_cells_are_read_by_their_meaning_and_other_spellings_are_counted(raw):
    raw.loc[0, ["Alley", "Lot Frontage", "Electrical", "Mas Vnr Type"]] = "NA"
    raw.loc[0, "MS SubClass"] = "20"
    raw["Exterior 2nd"] = "VinylSd"
    raw.loc[[1, 2], "Exterior 2nd"] = ["CmentBd", "Wd Shng"]
    frame, report = cleaned(raw)
    assert frame.loc[0, "ms_subclass"] == "020"
    assert frame.loc[1, "exterior_2nd"] == "CemntBd"
    assert report.repaired["exterior_2nd: a code spelled in a second way"] == 2
    assert frame.loc[0, "alley"] == NONE
    assert np.isnan(frame.loc[0, "lot_frontage"])
    assert frame.loc[0, "electrical"] is None
    assert frame.loc[0, "mas_vnr_type"] is None  # the veneer's own word for it is None


def test_the_garage_of_2207_is_repaired_and_counted(raw):
    raw["Garage Yr Blt"] = "1990"
    raw["Yr Sold"] = "2008"
    raw.loc[0, "Garage Yr Blt"] = "2207"
    frame, report = cleaned(raw)
    assert np.isnan(frame.loc[0, "garage_yr_blt"])
    assert frame["garage_yr_blt"].notna().sum() == len(raw) - 1
    assert report.repaired["garage built after the sale (2207): year unknown"] == 1


def test_a_veneer_of_type_none_with_an_area_becomes_unknown(raw):
    raw[["Mas Vnr Type", "Mas Vnr Area"]] = ["None", "0"]
    raw.loc[4, "Mas Vnr Area"] = "288"
    frame, report = cleaned(raw)
    assert frame.loc[4, "mas_vnr_type"] is None
    assert frame.loc[4, "mas_vnr_area"] == 288
    assert report.repaired["veneer of type None with an area: type unknown"] == 1


@pytest.mark.parametrize(
    ("cells", "name", "rule"),
    [
        ({"Pool Area": "500", "Pool QC": "NA"}, "pool_qc", "pool of quality None with an area: quality unknown"),
        ({"Fireplaces": "1", "Fireplace Qu": "NA"}, "fireplace_qu", "fireplaces of quality None: quality unknown"),
    ],
)
def test_a_quantity_of_what_is_said_to_be_absent_makes_its_code_unknown(raw, cells, name, rule):
    raw[["Pool Area", "Pool QC", "Fireplaces", "Fireplace Qu"]] = ["0", "NA", "0", "NA"]
    for heading, cell in cells.items():
        raw.loc[4, heading] = cell
    frame, report = cleaned(raw)
    assert frame.loc[4, name] is None
    assert report.repaired[rule] == 1


def through_pandas(raw: pd.DataFrame, path):
    """What pandas makes of a file that it reads and writes: NA, None and empty cells are one, and numbers change."""
    raw.to_csv(path, index=False)
    pd.read_csv(path).to_csv(path)  # with row numbers under an empty heading
    return path


def test_a_file_that_went_through_pandas_is_read_as_it_was(some_rows, dataset, tmp_path):
    read = load(str(through_pandas(some_rows(2930), tmp_path / "pandas.csv")))
    assert any(note.startswith("No NA, but empty cells, as after pandas") for note in read.report.notes)
    assert read.sales.records == dataset.sales.records


@pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
def test_a_file_is_read_whatever_separates_its_cells_in_utf_16_as_well(raw, tmp_path, separator):
    path = tmp_path / "sales.csv"
    raw.to_csv(path, index=False, sep=separator, encoding="utf-16" if separator == ";" else "utf-8-sig")
    pd.testing.assert_frame_equal(read_file(path).reset_index(drop=True), raw)


def test_a_row_of_another_width_is_named_by_its_line(raw, tmp_path):
    path = tmp_path / "sales.csv"
    lines = raw.to_csv(index=False).splitlines()
    path.write_text("\n".join([lines[0], lines[1] + ",", *lines[2:]]), encoding="utf-8")
    with pytest.raises(DataError, match=r"sales\.csv: line 2 has 83 cells, expected 82"):
        load(str(path))


def test_two_headings_of_one_meaning_are_refused(raw):
    with pytest.raises(DataError, match="headings that mean the same: Lot Area, LotArea"):
        cleaned(raw.assign(LotArea="1"))


def test_copies_conflicts_and_unpriced_rows_are_excluded_and_counted(raw):
    copy, conflict = raw.iloc[[0]].copy(), raw.iloc[[1]].copy()
    conflict["Lot Area"] = "9999"
    raw.loc[5, "SalePrice"] = "0"
    dirty = pd.concat([raw, copy, conflict], ignore_index=True)
    frame, report = cleaned(dirty)
    assert report.excluded == {
        "an exact copy of an earlier row": 1,
        "one parcel number with different contents": 2,
        "no price, or a price of zero or less": 1,
    }
    assert len(frame) == report.rows_kept == len(raw) - 2
    assert raw.loc[1, "PID"] not in set(frame["pid"])


def test_unknown_and_missing_headings_are_named(raw):
    with pytest.raises(DataError, match=r"unknown \['Color'\], missing \['lot_area'\]"):
        cleaned(raw.rename(columns={"Lot Area": "Color"}))


def test_text_in_a_number_column_is_named(raw):
    raw.loc[7, "Lot Area"] = "large"
    with pytest.raises(DataError, match="lot_area: 1 rows are not numbers, for example 'large' in line 7"):
        cleaned(raw)


def test_the_schema_names_column_rule_and_example(raw):
    raw.loc[3, "Neighborhood"] = "Atlantis"
    raw.loc[4, "Overall Qual"] = "11"
    frame, _ = cleaned(raw)
    with pytest.raises(DataError) as error:
        validate_frame(frame, sales_schema(), source="here")
    assert "neighborhood" in str(error.value)
    assert "Atlantis" in str(error.value)
    assert "overall_qual" in str(error.value)


def test_impossible_rows_stop_the_load(raw, tmp_path):
    raw.loc[3, "Bedroom AbvGr"] = "12"
    path = tmp_path / "sales.csv"
    raw.to_csv(path, index=False)
    message = r"bedroom_abv_gr: no more bedrooms than rooms fails in 1 rows, for example lines \[5\]"
    with pytest.raises(DataError, match=message):
        load(str(path))


def test_all_sales_ship_and_are_read(dataset):
    frame, repaired = dataset.sales.frame, dataset.report.repaired
    assert (dataset.source.kind, dataset.name) == ("full", "2,930 sales in Ames, Iowa, 2006 to 2010")
    assert dataset.sha256 == AMES.sha256[0]
    assert len(frame) == dataset.report.rows_read == 2930
    assert repaired["garage built after the sale (2207): year unknown"] == 1
    assert repaired["veneer of type None with an area: type unknown"] == 7
    large = frame[frame["gr_liv_area"] > 4000]
    assert sorted(large["sale_price"]) == [160_000, 183_850, 184_750, 745_000, 755_000]


def test_the_same_sales_have_one_digest_however_they_are_stored(raw, tmp_path):
    text = raw.to_csv(index=False, sep="\t").encode()
    stored = {"plain.txt": text, "windows.txt": text.replace(b"\n", b"\r\n"), "packed.txt.gz": gzip.compress(text)}
    read = []
    for name, content in stored.items():
        (tmp_path / name).write_bytes(content)
        read.append(load(str(tmp_path / name)))
    assert len({data.sha256 for data in read}) == 1
    for data in read:
        assert data.name == f"60 sales of {data.source.path.name}"
        pd.testing.assert_frame_equal(data.sales.frame, read[0].sales.frame)


@pytest.mark.parametrize("content", [SAMPLE.path.read_bytes()[:1000], b"Order,PID"], ids=["cut off", "not packed"])
def test_a_packed_file_that_is_not_whole_is_refused_by_name(content, tmp_path):
    path = tmp_path / "sales.csv.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"sales\.csv\.gz is no whole gzip file"):
        load(str(path))


@pytest.mark.parametrize("setting", ["sample", "auto", str(SAMPLE.path)])
def test_no_setting_leads_to_less_than_all_sales(setting, monkeypatch, tmp_path):
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(tmp_path))  # an empty cache: nothing is downloaded into it
    assert not is_sample(setting)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real_data
def test_the_public_file_holds_the_sales_that_ship(dataset, real_data_dir, monkeypatch):
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(real_data_dir))
    public = load("full")
    assert public.source.path == real_data_dir / AMES.path
    assert (public.source.kind, public.name, public.sha256) == (dataset.source.kind, dataset.name, dataset.sha256)
    pd.testing.assert_frame_equal(public.sales.frame, dataset.sales.frame)


def test_the_split_ignores_order_and_new_rows(dataset):
    test = split(dataset).test
    frame = dataset.sales.frame.sort_values("lot_area", ignore_index=True)
    shuffled = Sales(frame, to_records(frame))
    half = shuffled.take(np.arange(len(frame)) < 400)
    assert set(split(replace(dataset, sales=shuffled)).test.keys) == set(test.keys)
    assert set(split(replace(dataset, sales=half)).test.keys) == set(test.keys) & set(half.keys)
    assert 0.15 < len(test.frame) / len(frame) < 0.25


def test_every_training_row_has_a_fold_and_the_number_of_folds_does_not_move_the_test(dataset):
    usual, two = split(dataset), split(dataset, folds=2, fold_seed=7)
    assert usual.validation.shape == (len(usual.train.frame),)
    assert set(usual.validation) == set(range(5))
    assert set(two.validation) == {0, 1}
    assert two.test.keys == usual.test.keys


def test_records_stay_beside_their_rows(dataset):
    part = split(dataset).test
    assert part.records == to_records(part.frame)
