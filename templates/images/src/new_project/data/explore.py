"""What the data are like before any model: drawn for the data section of the README."""

from collections import Counter
from pathlib import Path

from new_project.data.images import read
from new_project.data.load import Dataset
from portfolio_shared.evaluation import figures

SHOWN, THINNED = 4, 2
"""Pictures of each label on the sheet, of which one row and column of two is drawn."""


def explore(dataset: Dataset, folder: Path) -> list[Path]:
    """Draw a sheet of the first pictures of each label, as the model sees them; return the file."""
    counts = Counter(picture.label for picture in dataset.pictures)
    rare, common = min(counts.values()), max(counts.values())
    each = f"{rare:,}" if rare == common else f"{rare:,} to {common:,}"
    title = f"{len(dataset.pictures):,} pictures of {len(counts)} labels, {each} of each, and how some of them look"
    figure, axes = figures.canvas(height=1.7 * len(counts) + 0.6, title=title)
    axes.remove()
    for row, label in enumerate(counts):
        files = [picture.path for picture in dataset.pictures if picture.label == label][:SHOWN]
        for column, file in enumerate(files):
            place = figure.add_subplot(len(counts), SHOWN, row * SHOWN + column + 1)
            place.imshow(read(file)[::THINNED, ::THINNED])
            place.set_axis_off()
            if column == 0:
                place.set_title(f"{label}, {counts[label]:,}", loc="left", fontsize=10)
    return [figures.save_figure(figure, folder / "data.svg")]
