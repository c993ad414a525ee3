-- One text for SQLite and PostgreSQL. Times are seconds since 1970. Requests, responses and truths are JSON.
-- `bytes` is the size of a prediction with its feedback.
CREATE TABLE predictions (
    id TEXT PRIMARY KEY,
    at DOUBLE PRECISION NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    route TEXT NOT NULL,
    subject TEXT NOT NULL,
    items INTEGER NOT NULL,
    milliseconds DOUBLE PRECISION NOT NULL,
    request TEXT NOT NULL,
    response TEXT NOT NULL,
    bytes INTEGER NOT NULL
);
CREATE INDEX predictions_by_time ON predictions (model, at, bytes);
CREATE INDEX predictions_by_subject ON predictions (subject) WHERE subject <> '';
CREATE TABLE feedback (
    prediction TEXT NOT NULL REFERENCES predictions (id) ON DELETE CASCADE,
    item INTEGER NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    client TEXT NOT NULL,
    truth TEXT NOT NULL,
    PRIMARY KEY (prediction, item, at)
);
CREATE INDEX feedback_by_client ON feedback (client) WHERE client <> '';
