"""The page that a person lands on after `docker compose up`."""
