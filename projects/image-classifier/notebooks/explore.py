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
# # Pictures: look first, then model
#
# A walk through the 550 photographs that ship, for those who like to start in a notebook. All logic lies in the package
# `image_classifier`: a cell calls it and shows what comes out. The whole story, with all results, is the project's
# `README.md`.

# %%
from pathlib import Path
from tempfile import mkdtemp

from IPython.display import SVG, Image, Markdown, display

from image_classifier.config import SHIPPED, USUAL, Compute, ModelSettings
from image_classifier.data.explore import explore
from image_classifier.data.load import load, split
from image_classifier.data.photos import first_of_each, image_of
from image_classifier.evaluation.candidates import class_frequencies, linear_probe
from image_classifier.evaluation.learning_curve import learning_curve
from image_classifier.models.trunk import trunk_of

# %% [markdown]
# ## What was read, and what was repaired
#
# Every file is looked at once. The sample is clean; the whole collection has exact copies, and one photograph under two
# names.

# %%
dataset = load("sample")
display(Markdown(dataset.report.as_markdown()))

# %% [markdown]
# ## Look at the photographs
#
# Before you go on: which kinds would you confuse? What could a model learn from color alone?

# %%
photographs, classes, near_duplicates = explore(dataset, Path(mkdtemp()))
display(Image(photographs), SVG(classes))

# %%
display(*map(image_of, first_of_each(dataset.photos)))

# %% [markdown]
# ## A part that is not looked at
#
# The hash of class and name decides the part. A photograph keeps its part whatever else is added.

# %%
parts = split(dataset)
display(len(parts.train), len(parts.validation), len(parts.test))

# %% [markdown]
# ## A baseline, and a frozen network with one new layer
#
# The metrics are of the validation part. The baseline answers the shares of the classes and sees no picture.

# %%
settings = ModelSettings(backbone=USUAL, weights=SHIPPED, recipe="quick")
trunk, compute = trunk_of(settings, parts.train), Compute(threads=2, work=Path(mkdtemp()))
probe, head = linear_probe(parts, trunk, compute=compute)
display(class_frequencies(parts).metrics, probe.metrics)

# %% [markdown]
# ## How many photographs are needed?
#
# Five of each class, ten, twenty, fifty and all. The interval is the range of three draws.

# %%
display(learning_curve(parts, trunk, compute=compute, draws=3))

# %% [markdown]
# ## Go on
#
# Leave a kind out and ask for it: `evaluation/near_out_of_distribution.py`. What would the service have to know to
# decline it?
