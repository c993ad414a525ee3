-- How many ratings each person has, in all and in each part. In: ratings.
CREATE OR REPLACE TEMPORARY VIEW people AS
SELECT
    user_id,
    CAST(count(*) AS INT) AS n_ratings,
    CAST(sum(CASE WHEN part = 0 THEN 1 ELSE 0 END) AS INT) AS n_train,
    CAST(sum(CASE WHEN part = 1 THEN 1 ELSE 0 END) AS INT) AS n_validation,
    CAST(sum(CASE WHEN part = 2 THEN 1 ELSE 0 END) AS INT) AS n_test
FROM ratings
GROUP BY user_id
ORDER BY user_id;
