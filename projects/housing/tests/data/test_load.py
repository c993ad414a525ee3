import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from housing.data.columns import NONE
from housing.data.load import AMES, Sales, clean, is_sample, load, read_file, sales_schema, split, to_records
from housing.data.sample import generate_sales, write_sample
from portfolio_shared.data.checks import DataError, DataReport, validate_frame


@pytest.fixture
def raw() -> pd.DataFrame:
    """A few generated sales without dirt worth speaking of, ready to be made dirty."""
    return generate_sales(60, seed=3).drop_duplicates("PID").reset_index(drop=True)


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
    with pytest.raises(DataError, match=r"unknown \['Colour'\], missing \['lot_area'\]"):
        cleaned(raw.rename(columns={"Lot Area": "Colour"}))


def test_text_in_a_number_column_is_named(raw):
    raw.loc[7, "Lot Area"] = "large"
    with pytest.raises(DataError, match=r"lot_area: 1 rows are not numbers, for example \['large'\]"):
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
    with pytest.raises(DataError, match="bedroom_abv_gr: no more bedrooms than rooms fails in 1 rows"):
        load(str(path))


def test_the_sample_loads_and_is_the_same_every_time():
    first, second = load("sample"), load("sample")
    assert first.sha256 == second.sha256
    pd.testing.assert_frame_equal(first.sales.frame, second.sales.frame)
    assert first.report.excluded["an exact copy of an earlier row"] > 0
    assert first.report.repaired["garage built after the sale (2207): year unknown"] == 1


def test_the_split_ignores_order_and_new_rows():
    data = load("sample")
    test = split(data).test
    frame = data.sales.frame.sort_values("lot_area", ignore_index=True)
    shuffled = Sales(frame, to_records(frame))
    half = shuffled.take(np.arange(len(frame)) < 400)
    assert set(split(replace(data, sales=shuffled)).test.keys) == set(test.keys)
    assert set(split(replace(data, sales=half)).test.keys) == set(test.keys) & set(half.keys)
    assert 0.15 < len(test.frame) / len(frame) < 0.25


def test_every_training_row_has_a_fold_and_the_number_of_folds_does_not_move_the_test():
    data = load("sample")
    usual, two = split(data), split(data, folds=2, fold_seed=7)
    assert usual.validation.shape == (len(usual.train.frame),)
    assert set(usual.validation) == set(range(5))
    assert set(two.validation) == {0, 1}
    assert two.test.keys == usual.test.keys


def test_records_stay_beside_their_rows():
    part = split(load("sample")).test
    assert part.records == to_records(part.frame)


def test_the_written_sample_is_what_is_loaded_and_another_seed_is_another_sample(tmp_path):
    (tmp_path / "other").mkdir()
    path = write_sample(tmp_path)
    assert load(str(path)).sha256 == load("sample").sha256
    assert write_sample(tmp_path / "other", seed=1).read_bytes() != path.read_bytes()
    assert (is_sample("sample"), is_sample(str(path))) == (True, False)


@pytest.mark.real_data
def test_the_real_file_is_read_whole(real_data_dir):
    path = real_data_dir / AMES.path
    text = path.read_bytes().replace(b"\r\n", b"\n")
    assert hashlib.sha256(text).hexdigest() in AMES.sha256
    data = load(str(path))
    frame = data.sales.frame
    assert len(frame) == data.report.rows_read == 2930
    assert data.report.repaired["garage built after the sale (2207): year unknown"] == 1
    assert data.report.repaired["veneer of type None with an area: type unknown"] == 7
    large = frame[frame["gr_liv_area"] > 4000]
    assert sorted(large["sale_price"]) == [160_000, 183_850, 184_750, 745_000, 755_000]


@pytest.mark.real_data
def test_the_sample_holds_no_row_of_the_real_data(real_data_dir):
    real, sample = read_file(real_data_dir / AMES.path), generate_sales()
    assert not set(real["PID"]) & set(sample["PID"])
    columns = ["Lot Area", "Gr Liv Area", "Total Bsmt SF", "Year Built", "SalePrice"]
    assert not set(map(tuple, real[columns].values)) & set(map(tuple, sample[columns].values))
