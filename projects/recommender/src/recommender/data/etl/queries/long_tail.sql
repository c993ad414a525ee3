-- Which share of all ratings goes to the most popular hundredth, tenth and half of the films that anybody rated.
SELECT
    shares.share,
    sum(CASE WHEN ranked.place <= greatest(1, round(shares.share * ranked.n_films)) THEN ranked.n_ratings ELSE 0 END)
        / CAST(sum(ranked.n_ratings) AS DOUBLE) AS of_ratings
FROM (
    SELECT
        n_ratings,
        row_number() OVER (ORDER BY n_ratings DESC, film_id) AS place,
        count(*) OVER () AS n_films
    FROM counts
    WHERE n_ratings > 0
) AS ranked
CROSS JOIN (
    SELECT CAST(0.01 AS DOUBLE) AS share UNION ALL SELECT CAST(0.1 AS DOUBLE) UNION ALL SELECT CAST(0.5 AS DOUBLE)
) AS shares
GROUP BY shares.share
ORDER BY shares.share;
