-- The prediction log by day (UTC) and version: requests, histories in them, and how long answers took.
SELECT
    CAST(floor(predictions.at / 86400) AS BIGINT) * 86400 AS day,
    version,
    count(*) AS requests,
    CAST(sum(items) AS BIGINT) AS histories,
    round(percentile_cont(0.5) WITHIN GROUP (ORDER BY milliseconds), 2) AS median_ms,
    round(percentile_cont(0.95) WITHIN GROUP (ORDER BY milliseconds), 2) AS p95_ms
FROM predictions
WHERE model = 'recommender'
GROUP BY 1, 2
ORDER BY 1, 2;
