-- Films of eight tastes: film number f is of taste f % 8, and the (f // 8)th most popular of it.
CREATE OR REPLACE TEMP MACRO uniform(a, b, c) AS
    (hash(a, b, c, getvariable('seed')) >> 11)::DOUBLE / 9007199254740992;  -- 53 bits
CREATE OR REPLACE TEMP MACRO normal(a, b, c) AS  -- Box and Muller
    sqrt(-2 * ln(1 - uniform(a, b, c))) * cos(2 * pi() * uniform(a, b, -c));

CREATE OR REPLACE TEMP TABLE films AS
WITH tastes (taste, genres, period) AS (
    VALUES
        (0, 'Action|Sci-Fi|Thriller', 2004),
        (1, 'Comedy|Romance', 1999),
        (2, 'Drama|War', 1972),
        (3, 'Animation|Children|Fantasy', 2008),
        (4, 'Horror|Mystery', 1985),
        (5, 'Crime|Film-Noir', 1950),
        (6, 'Documentary', 2010),
        (7, 'Adventure|Western', 1962)
), drawn AS (
    SELECT
        film,
        3 * row_number() OVER (ORDER BY uniform(film, 0, 1)) AS film_id,  -- an id tells nothing of popularity
        0.5 * normal(film, 0, 2) AS quality,  -- stars
        genres,
        least(2017, greatest(1920, round(period + 6 * normal(film, 0, 3))))::INT AS year
    FROM range(getvariable('films')) AS every (film) JOIN tastes ON taste = film % 8
)
SELECT film, film_id, quality, printf('Film %d (%d)', film_id, year) AS title, genres FROM drawn;
