-- Every row that was left out, with its reason. In: rows, people.
-- A person with more usable rows than ratings replaced some: only theirs are looked through once more.
CREATE OR REPLACE TEMPORARY VIEW undecided AS
SELECT usable.user_id
FROM (SELECT user_id, count(*) AS n FROM rows WHERE reason IS NULL GROUP BY user_id) AS usable
JOIN people ON people.user_id = usable.user_id
WHERE usable.n > people.n_ratings;

CREATE OR REPLACE TEMPORARY VIEW quarantine AS
SELECT place, user_id, film_id, stars, rows.at, line, reason
FROM rows
WHERE reason IS NOT NULL
UNION ALL
SELECT
    place,
    user_id,
    film_id,
    stars,
    numbered.at,
    line,
    'rating that the user replaced by a later one of the same film' AS reason
FROM (
    SELECT
        place,
        user_id,
        film_id,
        stars,
        rows.at,
        line,
        row_number() OVER (PARTITION BY user_id, film_id ORDER BY rows.at DESC, place DESC) AS newest
    FROM rows
    WHERE reason IS NULL AND user_id IN (SELECT user_id FROM undecided)
) AS numbered
WHERE newest > 1
ORDER BY place;
