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
# # New project: look first, then model
#
# All logic lies in the package `new_project`: a cell calls it and shows what comes out.

# %%
from pathlib import Path
from tempfile import mkdtemp

from IPython.display import SVG, Markdown, display

from new_project.config import ModelSettings
from new_project.data.explore import explore
from new_project.data.load import load, split
from new_project.evaluation.candidates import compare

# %% [markdown]
# ## What was read, and what was repaired

# %%
dataset = load("sample")
display(Markdown(dataset.report.as_markdown()))

# %%
display(*map(SVG, explore(dataset, Path(mkdtemp()))))

# %% [markdown]
# ## A part that is not looked at, and what is tried on the rest

# %%
parts = split(dataset)
display(f"{len(parts.train):,} rows to learn from, {len(parts.test):,} for the test")

# %%
display(next(iter(compare(parts, ModelSettings()).values())).metrics)
