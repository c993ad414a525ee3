-- What a challenger would have answered to a logged request, `response` as in predictions.
CREATE TABLE shadows (
    prediction TEXT NOT NULL REFERENCES predictions (id) ON DELETE CASCADE,
    version TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    milliseconds DOUBLE PRECISION NOT NULL,
    response TEXT NOT NULL,
    PRIMARY KEY (prediction, version)
);
