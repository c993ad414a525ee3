"""The usual way: FastAPI, a table of one row, and a pipeline of scikit-learn, fitted to the sales of the sample."""

from typing import Any

import numpy as np
import pandas as pd
from fastapi import FastAPI
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from housing.data.columns import columns
from housing.data.load import TARGET, load

sales = load("sample").sales.frame
names = list(columns())
numbers = make_pipeline(SimpleImputer(strategy="median"))
codes = make_pipeline(
    SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)
)
of_code = make_column_selector(dtype_include=["object", "string"])
of_number = make_column_selector(dtype_include="number")
model = make_pipeline(
    make_column_transformer((numbers, of_number), (codes, of_code)), HistGradientBoostingRegressor(random_state=0)
).fit(sales[names], np.log(sales[TARGET]))
types = sales[names].dtypes

app = FastAPI()


@app.post("/answers")
def answer(body: dict[str, Any]) -> dict[str, list[float]]:
    """Price houses, in a thread of the pool."""
    table = pd.DataFrame(body["houses"]).reindex(columns=names).astype(types)
    return {"prices": np.exp(model.predict(table)).tolist()}
