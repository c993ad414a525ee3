-- The ten pairs of films that most people rated both of, among the 200 most rated, and how much more often than chance.
WITH popular AS (
    SELECT film_id, n_ratings FROM counts ORDER BY n_ratings DESC, film_id LIMIT 200
),
chosen AS (
    SELECT ratings.user_id, ratings.film_id
    FROM ratings
    JOIN popular ON popular.film_id = ratings.film_id
),
pairs AS (
    SELECT a.film_id AS film, b.film_id AS other, count(*) AS people
    FROM chosen AS a
    JOIN chosen AS b ON b.user_id = a.user_id AND b.film_id > a.film_id
    GROUP BY a.film_id, b.film_id
)
SELECT
    first_film.title AS film,
    second_film.title AS other,
    pairs.people,
    round(CAST(pairs.people AS DOUBLE) * everybody.n / (CAST(a.n_ratings AS DOUBLE) * b.n_ratings), 2) AS lift
FROM pairs
JOIN films AS first_film ON first_film.film_id = pairs.film
JOIN films AS second_film ON second_film.film_id = pairs.other
JOIN popular AS a ON a.film_id = pairs.film
JOIN popular AS b ON b.film_id = pairs.other
CROSS JOIN (SELECT count(*) AS n FROM people) AS everybody
ORDER BY pairs.people DESC, pairs.film, pairs.other
LIMIT 10;
