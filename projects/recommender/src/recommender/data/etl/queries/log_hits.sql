-- What feedback says of each version: the last word on each list, and how many of the films that were watched stood in
-- it. JSON has other functions on Spark: this one is for DuckDB.
WITH said AS (
    SELECT
        predictions.id,
        version,
        response,
        feedback.item,
        truth,
        row_number() OVER (PARTITION BY feedback.prediction, feedback.item ORDER BY feedback.at DESC) AS newest
    FROM feedback
    JOIN predictions ON predictions.id = feedback.prediction
    WHERE model = 'recommender'
),
told AS (
    SELECT
        version,
        id,
        item,
        CAST(unnest(json_extract_string(truth, '$.watched[*].film_id')) AS BIGINT) AS film_id,
        unnest(json_extract_string(truth, '$.watched[*].liked')) AS liked,
        list_transform(
            -- Of a batch the answer to the one history that is meant.
            json_extract_string(
                coalesce(json_extract(response, '$.results[' || item || ']'), response),
                '$.recommendations[*].film.film_id'
            ),
            lambda shown: CAST(shown AS BIGINT)
        ) AS shown
    FROM said
    WHERE newest = 1
)
SELECT
    version,
    count(DISTINCT (id, item)) AS lists,
    count(*) AS watched,
    CAST(sum(CASE WHEN list_contains(shown, film_id) THEN 1 ELSE 0 END) AS BIGINT) AS of_the_list,
    CAST(sum(CASE WHEN liked = 'false' THEN 1 ELSE 0 END) AS BIGINT) AS disliked
FROM told
GROUP BY version
ORDER BY version;
