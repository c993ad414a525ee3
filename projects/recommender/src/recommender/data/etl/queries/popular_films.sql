-- The ten films that most people rated: their share of all ratings, and their mean.
SELECT
    films.title,
    counts.n_ratings,
    round(100.0 * counts.n_ratings / total.n, 2) AS percent_of_ratings,
    round(avg(CAST(ratings.stars AS DOUBLE)), 2) AS mean_stars
FROM counts
JOIN films ON films.film_id = counts.film_id
JOIN ratings ON ratings.film_id = counts.film_id
CROSS JOIN (SELECT sum(n_ratings) AS n FROM counts) AS total
GROUP BY films.film_id, films.title, counts.n_ratings, total.n
ORDER BY counts.n_ratings DESC, films.film_id
LIMIT 10;
