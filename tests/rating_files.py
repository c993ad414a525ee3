"""Files of ratings and films as tests write them, and the rows that they have."""

from pathlib import Path

from recommender.data.load import load

FILMS = 'movieId,title,genres\n1,Toy Story (1995),Animation\n7,"American President, The (1995)",Drama\n'
HEADING = "userId,movieId,rating,timestamp\n"
ROWS = ["5,7,4.5,100", "5,1,3.5,90", "9,1,5.0,80"]
READ = [(5, 1, 3.5, 90), (5, 7, 4.5, 100), (9, 1, 5.0, 80)]


def write(folder: Path, ratings: str | bytes = HEADING + "\n".join(ROWS) + "\n", films: str | bytes = FILMS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("ratings.csv", ratings), ("movies.csv", films)):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def rows_of(folder: Path) -> list[tuple[int, int, float, int]]:
    data = load(str(folder))
    ratings, films = data.ratings, data.catalogue.films
    numbers = zip(ratings.users, ratings.items, ratings.values.tolist(), ratings.times.tolist(), strict=True)
    return [(int(data.user_ids[user]), films[item].id, stars, time) for user, item, stars, time in numbers]
