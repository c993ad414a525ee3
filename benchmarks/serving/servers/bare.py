"""A bare FastAPI request: a dictionary in, a small one out. The limit of what a service on FastAPI can answer."""

from typing import Any

from fastapi import FastAPI

app = FastAPI()


@app.post("/answers")
async def answer(body: dict[str, Any]) -> dict[str, int]:
    """Do nothing with a body that was parsed."""
    return {"fields": len(body)}
