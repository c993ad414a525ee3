-- Gaps and islands: a sitting ends where an hour passes without a rating. How many sittings people have, and of how many films.
WITH gaps AS (
    SELECT
        user_id,
        film_id,
        ratings.at,
        ratings.at - lag(ratings.at) OVER (PARTITION BY user_id ORDER BY ratings.at, film_id) AS gap
    FROM ratings
),
numbered AS (
    SELECT
        user_id,
        sum(CASE WHEN gap < 3600 THEN 0 ELSE 1 END) OVER (
            PARTITION BY user_id ORDER BY gaps.at, film_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS sitting
    FROM gaps
),
sittings AS (
    SELECT user_id, sitting, count(*) AS n_films
    FROM numbered
    GROUP BY user_id, sitting
),
of_person AS (
    SELECT user_id, count(*) AS n_sittings, sum(n_films) AS n_films
    FROM sittings
    GROUP BY user_id
)
SELECT
    count(*) AS people,
    CAST(sum(n_sittings) AS BIGINT) AS sittings,
    avg(CASE WHEN n_sittings = 1 THEN 1.0 ELSE 0.0 END) AS share_with_one,
    sum(n_films) / CAST(sum(n_sittings) AS DOUBLE) AS films_in_a_sitting
FROM of_person;
