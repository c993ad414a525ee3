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
# # Films: look first, then model
#
# A walk through the ratings that ship, for those who like to start in a notebook. All logic lies in the package
# `recommender`: a cell calls it and shows what comes out. The whole story, with all results, is the project's
# `README.md`.

# %%
from pathlib import Path
from tempfile import mkdtemp

from IPython.display import SVG, Markdown, display

from recommender.config import tuned_settings
from recommender.data.explore import describe, explore
from recommender.data.load import load, split
from recommender.evaluation.evaluate import measure
from recommender.evaluation.task import lists_for, make_task
from recommender.evaluation.toy import toy_table
from recommender.models.fit import FULL, POPULARITY, recipes
from recommender.models.sequence import fit_sequence_rules

# %% [markdown]
# ## What was read
#
# Ratings that people tweeted from IMDb's apps in 2013, from 0 to 10, halved to stars.

# %%
dataset = load("sample")
display(Markdown(dataset.report.as_markdown()))

# %% [markdown]
# ## Who rates when, and which films
#
# On MovieLens half of the people rate everything within an hour. Look at these people: why are they other?

# %%
sittings, popularity = explore(dataset, Path(mkdtemp()))
display(SVG(sittings), SVG(popularity), describe(dataset.ratings))

# %% [markdown]
# ## Hide each person's last fifth
#
# The part before it is for choosing models. The test stays where it is: everything below looks at the validation part.

# %%
parts = split(dataset)
display(f"{len(parts.train):,} ratings to learn from, {len(parts.validation):,} to choose by")

# %%
task = make_task(parts.train, parts.validation, dataset.catalogue, max_users=500)
ways = recipes(tuned_settings(), task.before, task.catalogue)

# %% [markdown]
# ## How far do popular films get?
#
# `hit_rate_at_10` is the share of people for whom at least one of ten films is right.

# %%
popular = ways[POPULARITY].fit(task.before.matrix())
display(measure(lists_for(popular, task, k=50, weigh=ways[POPULARITY].weigh), task, k=10).metrics)

# %% [markdown]
# ## EASE on four films
#
# What each film that was seen (row) adds to the score of another one (column).

# %%
display(Markdown(toy_table()))

# %% [markdown]
# ## The kind of model that is served

# %%
served = ways[FULL].fit(task.before.matrix())
display(measure(lists_for(served, task, k=50, weigh=ways[FULL].weigh), task, k=10).metrics)

# %% [markdown]
# ## Nothing but order
#
# What came after the last films in other people's histories. Compare it with the model above before you go on.

# %%
rules = fit_sequence_rules(task.before, window=50, last=10)
display(measure(lists_for(rules, task, k=50, weigh=ways[FULL].weigh), task, k=10).metrics)

# %% [markdown]
# ## Yours to try
#
# - Set `window` and `last` to 1: a Markov chain. What does it lose?
# - Ask the models for people with fewer than 20 films. Who wins now?
# - Measure `split_by_pause` of `recommender.data.splits` instead. What changes?
