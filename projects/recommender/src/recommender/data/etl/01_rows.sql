-- The lines of the text as rows: typed, and with the reason why one cannot be used. None is lost but blank ones.
-- In: lines (place, line), layout (one row: how the text is cut), films. Both DuckDB and Spark run every file.
CREATE OR REPLACE TEMPORARY VIEW plain AS
SELECT place, replace(line, chr(13), '') AS line FROM lines;

CREATE OR REPLACE TEMPORARY VIEW cells AS
SELECT
    place,
    line,
    out_of_ten,
    split_part(line, separator, user_cell) AS user_cell,
    split_part(line, separator, film_cell) AS film_cell,
    split_part(line, separator, time_cell) AS time_cell,
    -- Between semicolons, tabs and bars numbers may have a decimal comma; between commas none can.
    replace(split_part(line, separator, value_cell), ',', '.') AS value_cell,
    length(line) - length(replace(line, separator, '')) = (width - 1) * length(separator) AS has_all_cells
FROM plain
CROSS JOIN layout
WHERE
    trim(line) <> ''
    -- A heading that comes again, as where files were put one below the other, is a row that is no rating.
    AND (line <> heading OR place > (SELECT min(place) FROM plain JOIN layout ON plain.line = layout.heading));

-- A cast alone would take 5.7 for 5 or 1_000 for 1000, and each engine others.
CREATE OR REPLACE TEMPORARY VIEW judged AS
SELECT
    *,
    -- What pandas takes for nothing.
    value_cell IN (
        '', 'NA', 'N/A', 'n/a', '<NA>', 'NaN', 'nan', '-NaN', '-nan', 'NULL', 'null', 'None', '#N/A', '#N/A N/A', '#NA',
        '1.#IND', '-1.#IND', '1.#QNAN', '-1.#QNAN'
    ) AS has_no_value,
    has_all_cells AND regexp_extract(
        concat(user_cell, '/', film_cell, '/', time_cell),
        '^ *[+-]?[0-9]+ */ *[+-]?[0-9]+ */ *[+-]?[0-9]+ *$',
        0
    ) <> '' AS has_numbers
FROM cells;

CREATE OR REPLACE TEMPORARY VIEW numbers AS
SELECT
    place,
    line,
    CASE WHEN has_numbers THEN try_cast(user_cell AS INT) END AS user_id,
    CASE WHEN has_numbers THEN try_cast(film_cell AS INT) END AS film_id,
    CASE WHEN has_numbers THEN try_cast(time_cell AS BIGINT) END AS at,
    CASE WHEN regexp_extract(value_cell, '^ *[+-]?[0-9.]+([eE][+-]?[0-9]+)? *$', 0) <> '' THEN try_cast(value_cell AS FLOAT)
        END AS value,
    has_no_value,
    out_of_ten
FROM judged;

CREATE OR REPLACE TEMPORARY VIEW stars AS
SELECT
    place,
    line,
    user_id,
    film_id,
    CAST(CASE WHEN NOT out_of_ten THEN value WHEN value = 0 THEN 0.5 ELSE value / 2 END AS FLOAT) AS stars,
    numbers.at,  -- without the table, AT is a word of SQL to DuckDB
    coalesce(out_of_ten AND value = 0, false) AS is_repaired,
    user_id IS NULL OR film_id IS NULL OR numbers.at IS NULL OR (value IS NULL AND NOT has_no_value) AS is_unreadable
FROM numbers;

CREATE OR REPLACE TEMPORARY VIEW rows AS
SELECT
    place,
    user_id,
    film_id,
    stars,
    with_reasons.at,
    is_repaired,
    reason,
    CASE WHEN reason IS NOT NULL THEN line END AS line
FROM (
    SELECT
        stars.*,
        CASE
            WHEN is_unreadable THEN 'row that is no rating'
            WHEN stars IS NULL OR NOT stars BETWEEN 0.5 AND 5.0 THEN 'rating outside 0.5 to 5.0 stars'
            WHEN films.film_id IS NULL THEN 'rating of a film that the list of films does not have'
        END AS reason
    FROM stars
    LEFT JOIN films ON films.film_id = stars.film_id
) AS with_reasons;
