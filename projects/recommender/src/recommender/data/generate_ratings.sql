-- What the people from first to last rated. Each begins with one taste and drifts to another: the first quarter of a
-- history is all first taste, the last quarter all second.
WITH people AS (
    SELECT
        person,
        least(2000, greatest(20, exp(4.7 + 0.8 * normal(person, 0, 4))))::INT AS draws,
        floor(8 * uniform(person, 0, 5)) AS first_taste,
        floor(8 * uniform(person, 0, 6)) AS second_taste,
        0.4 * normal(person, 0, 7) AS mildness,  -- stars
        1500000000 - 31536000 * (1 + 9 * uniform(person, 0, 8)) AS since  -- within ten years before July 2017
    FROM range(getvariable('first'), getvariable('last')) AS every (person)
), draws AS (
    SELECT *, unnest(range(draws)) AS draw FROM people
), timed AS (
    SELECT *, uniform(person, draw, 9) AS elapsed FROM draws
), places AS (
    SELECT
        *,
        CASE
            WHEN uniform(person, draw, 10) < 0.2 THEN floor(8 * uniform(person, draw, 11))  -- anything
            WHEN uniform(person, draw, 12) < 2 * elapsed - 0.5 THEN second_taste
            ELSE first_taste
        END AS taste,
        -- Zipf and Mandelbrot's long tail, (place + 15) ^ -0.9, by the inverse of its distribution.
        pow(15 ^ 0.1 + uniform(person, draw, 13) * ((getvariable('films') / 8 + 15) ^ 0.1 - 15 ^ 0.1), 10) - 15 AS place
    FROM timed
), seen AS (  -- a film that was drawn twice counts once
    SELECT
        person,
        least(getvariable('films') - 1, 8 * floor(place) + taste)::BIGINT AS film,
        min(since + 31536000 * elapsed)::BIGINT AS moment,
        any_value(mildness) AS mildness
    FROM places
    GROUP BY 1, 2
)
SELECT
    person + 1 AS "userId",
    film_id AS "movieId",
    least(10, greatest(1, round(2 * (3.6 + quality + mildness + 0.7 * normal(person, film, 14))))) / 2 AS rating,
    moment AS "timestamp"
FROM seen JOIN films USING (film)
ORDER BY 1, 2
LIMIT getvariable('most')
