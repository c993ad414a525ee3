"""`housing predict` on the Ames sales ten times over, beside a scikit-learn pipeline and CatBoost that pandas feeds.

The peers are at their defaults and give a price alone; ours gives its interval, what was filled and what was repaired.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from batch_rate import Way, run  # first: it sets the threads

# isort: split
import numpy as np
import pandas as pd
from catboost import CatBoostRegressor
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from housing.data.load import SAMPLE, read_file
from housing.models.predictor import Predictor
from housing.serving.batch import predict_file

TIMES = 10
OURS, EXPLAINED, PIPELINE, CATBOOST = "ours", "ours, explained", "scikit-learn pipeline", "CatBoost"


def ways(bundle: Path, place: Path) -> Mapping[str, Way]:
    """Return ours and the peers', fitted to the same sales."""
    sales = read_file(SAMPLE.path)
    source, target = place / "sales.csv", place / "prices.csv"
    pd.concat([sales] * TIMES).to_csv(source, index=False)
    predictor = Predictor.load(bundle)
    frame = pd.read_csv(source, nrows=len(sales))
    x, log_price = features(frame), np.log(frame["SalePrice"])
    codes = make_column_selector(dtype_include=["object", "string"])
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, codes), remainder="passthrough")
    pipeline = make_pipeline(columns, HistGradientBoostingRegressor(random_state=0)).fit(x, log_price)
    catboost = CatBoostRegressor(cat_features=codes(x), thread_count=1, verbose=False, allow_writing_files=False)
    catboost.fit(for_catboost(x, codes(x)), log_price)

    def ours(*, explain: bool) -> int:
        return predict_file(source, target, predictor, explain=explain).done

    def with_pandas(model: str) -> int:
        table = pd.read_csv(source)
        x = features(table)
        logs = pipeline.predict(x) if model == PIPELINE else catboost.predict(for_catboost(x, codes(x)), thread_count=1)
        table.assign(price=np.exp(logs).round(2)).to_csv(target, index=False)
        return len(table)

    return {
        OURS: lambda: ours(explain=False),
        EXPLAINED: lambda: ours(explain=True),
        PIPELINE: lambda: with_pandas(PIPELINE),
        CATBOOST: lambda: with_pandas(CATBOOST),
    }


def features(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=["Order", "PID", "SalePrice"])


def for_catboost(x: pd.DataFrame, codes: list[str]) -> pd.DataFrame:
    """CatBoost takes no unknown code."""
    return x.assign(**{name: x[name].fillna("NA") for name in codes})


if __name__ == "__main__":
    ratios = {"over_pipeline": (OURS, PIPELINE), "explained_over_pipeline": (EXPLAINED, PIPELINE)}
    ratios["over_catboost"] = (OURS, CATBOOST)
    limits = {"over_pipeline": 2.0, "explained_over_pipeline": 0.33}
    sys.exit(run("housing", __doc__, ways, ratios=ratios, limits=limits))
