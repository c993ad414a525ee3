"""Ask this container's own server whether it is well: python healthcheck.py PORT PATH. The image has no curl."""

import http.client
import sys


def main(port: int, path: str) -> int:
    """Return 0 if the answer is 200; otherwise print why not, for `docker inspect`, and return 1."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(2000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        sys.stdout.write(f"{path}: {type(error).__name__}: {error}\n")
        return 1
    finally:
        connection.close()
    if answer.status == http.client.OK:
        return 0
    sys.stdout.write(f"{path}: {answer.status} {text}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2]))
