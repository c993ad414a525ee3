-- Run once, when the volume is empty: the prediction log has a database of its own beside MLflow's.
CREATE DATABASE predictions;
