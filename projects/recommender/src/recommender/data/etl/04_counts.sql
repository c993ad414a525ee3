-- How many people rated each film, rated or not: in training, before the test, and in all. In: films, ratings.
CREATE OR REPLACE TEMPORARY VIEW counts AS
SELECT
    films.film_id,
    CAST(coalesce(sum(n_train), 0) AS INT) AS n_train,
    CAST(coalesce(sum(n_before_test), 0) AS INT) AS n_before_test,
    CAST(coalesce(sum(n_ratings), 0) AS INT) AS n_ratings
FROM films
LEFT JOIN (
    SELECT
        film_id,
        sum(CASE WHEN part = 0 THEN 1 ELSE 0 END) AS n_train,
        sum(CASE WHEN part < 2 THEN 1 ELSE 0 END) AS n_before_test,
        count(*) AS n_ratings
    FROM ratings
    GROUP BY film_id
) AS of_film ON of_film.film_id = films.film_id
GROUP BY films.film_id
ORDER BY films.film_id;
