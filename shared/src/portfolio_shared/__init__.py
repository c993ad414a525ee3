import sys

# httpx's command line, which is of no use here, loads rich and Pygments into every service: 50 ms and 5 MB.
# The import system takes None for a module that is not there, and httpx can do without.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
