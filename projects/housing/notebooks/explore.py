# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # House prices: look first, then model
#
# A walk through the sales of Ames, Iowa, for those who like to start in a notebook. All logic lies in the package
# `housing`: a cell calls it and shows what comes out. The whole story, with all results, is the project's `README.md`.

# %%
from pathlib import Path
from tempfile import mkdtemp

from IPython.display import SVG, Markdown, display

from housing.config import tuned_settings
from housing.data.explore import explore
from housing.data.house import EXAMPLE
from housing.data.load import load, split
from housing.evaluation.candidates import baselines, cross_validate
from housing.models.fit import fit_members

# %% [markdown]
# ## What was read, and what was repaired
#
# All sales ship with the package. `NA` in the file often means "the house has none", and a garage was "built in 2207":
# the report counts each repair.

# %%
dataset = load("sample")
display(Markdown(dataset.report.as_markdown()))

# %%
display(dataset.sales.frame.head())

# %% [markdown]
# ## Prices, sizes, neighborhoods
#
# Before you go on: what would you do about the orange diamonds? They are real sales.

# %%
prices, price_by_area, neighborhoods = explore(dataset, Path(mkdtemp()))
display(SVG(prices), SVG(price_by_area), SVG(neighborhoods))

# %% [markdown]
# ## A part that is not looked at
#
# The test part is chosen by a hash of the parcel number. Everything below uses the training part and its folds.

# %%
parts = split(dataset)
display(f"{len(parts.train.records):,} houses to learn from, {len(parts.test.records):,} for the test")

# %% [markdown]
# ## How far do simple rules get?
#
# The same price for every house; the price per square foot of the neighborhood; a ridge regression on the file's own
# columns. Each is fitted on four folds and asked about the fifth. `mae_mean` is the mean error in dollars.

# %%
rules = baselines(seed=0)
by_square_foot = "neighborhood's price per square foot"
display(cross_validate("median", rules["median"], parts).metrics)
display(cross_validate(by_square_foot, rules[by_square_foot], parts).metrics)
display(cross_validate("ridge", rules["ridge"], parts).metrics)

# %% [markdown]
# ## The two members of the served model
#
# A linear model in a rich basis and symmetric trees, both of the logarithm of the price. Here they say what one house
# costs; the model that is served blends them, with an interval and reasons.

# %%
members = fit_members(parts.train.records, parts.train.prices, tuned_settings(), threads=1)
display(members.log_prices([EXAMPLE]))

# %% [markdown]
# ## Yours to try
#
# - Draw the prices by year of sale: did they move from 2006 to 2010?
# - Leave the five large houses out of the training part. Which error changes, and for whom?
# - Put the price itself among the features. How soon does the cross-validation show it?
