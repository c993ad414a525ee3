-- The latest rating of each person and film, and its part of the split: data/splits.py has the same arithmetic.
-- In: rows. Parts: 0 training, 1 validation, 2 test.
CREATE OR REPLACE TEMPORARY VIEW latest AS
SELECT user_id, film_id, stars, numbered.at
FROM (
    SELECT
        user_id,
        film_id,
        stars,
        rows.at,
        -- Of two ratings of one second the later line counts.
        row_number() OVER (PARTITION BY user_id, film_id ORDER BY rows.at DESC, place DESC) AS newest
    FROM rows
    WHERE reason IS NULL
) AS numbered
WHERE newest = 1;

CREATE OR REPLACE TEMPORARY VIEW from_end AS
SELECT
    user_id,
    film_id,
    stars,
    latest.at,
    row_number() OVER (PARTITION BY user_id ORDER BY latest.at DESC, film_id DESC) AS from_end,
    count(*) OVER (PARTITION BY user_id) AS n
FROM latest;

-- A fifth of each history is hidden for the test and as much before it for validation, if five ratings stay.
CREATE OR REPLACE TEMPORARY VIEW ratings AS
SELECT
    user_id,
    film_id,
    stars,
    from_end.at,
    CAST(
        CASE
            WHEN n - 2 * floor(n / 5) < 5 THEN 0
            WHEN from_end <= floor(n / 5) THEN 2
            WHEN from_end <= 2 * floor(n / 5) THEN 1
            ELSE 0
        END AS TINYINT
    ) AS part
FROM from_end;
