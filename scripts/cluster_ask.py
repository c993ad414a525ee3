"""Ask every project's service in a Kubernetes cluster for the prediction that its documents show.

python scripts/cluster_ask.py              # each once
python scripts/cluster_ask.py COMMAND...   # again and again while a command runs, such as `kubectl rollout status`

It asks from the pod of the start page through the services' names, as the network policies let it: a port-forward would
end with the pod that it leads to. kubectl has to know the cluster and the namespace.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module

from project_table import projects

INSIDE = """
import base64, http.client, json, sys, threading, time
questions, go_on = json.loads(sys.stdin.readline()), threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), go_on.set()), daemon=True).start()
answers = {}
while True:
    for question in questions:
        try:
            connection = http.client.HTTPConnection(question["host"], timeout=30)
            connection.request("POST", question["path"], base64.b64decode(question["body"]),
                               {"content-type": question["content_type"]})
            answer = str(connection.getresponse().status)
        except (OSError, http.client.HTTPException) as error:
            answer = repr(error)
        finally:
            connection.close()
        counts = answers.setdefault(question["host"], {})
        counts[answer] = counts.get(answer, 0) + 1
    if go_on.wait(0.1):
        break
print(json.dumps(answers))
"""
"""What runs in the pod: it asks until standard input ends, and prints how often each host gave which answer."""


def questions() -> list[dict[str, str]]:
    """Return each project's example as JSON can hold it, and the service that it is for."""
    examples = {
        project.name: import_module(f"{project.package}.serving.schemas").EXAMPLE_REQUEST for project in projects()
    }
    return [
        {
            "host": f"{name}:8000",
            "path": example.path,
            "content_type": example.content_type,
            "body": base64.b64encode(example.body).decode(),
        }
        for name, example in examples.items()
    ]


def ask(command: Sequence[str]) -> tuple[int, dict[str, dict[str, int]]]:
    """Ask at least once, and until the command ends; return its exit status, and host -> answer -> how often.

    Raises
    ------
    subprocess.CalledProcessError
        If nothing can be run in the pod.
    """
    inside = ["kubectl", "exec", "--stdin", "deployment/index", "--", "python", "-c", INSIDE]
    with subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asker:
        assert asker.stdin is not None  # noqa: S101 - a pipe was asked for
        asker.stdin.write(json.dumps(questions()) + "\n")
        asker.stdin.flush()
        status = subprocess.run(command, check=False).returncode if command else 0
        printed, _ = asker.communicate()
    if asker.returncode:
        raise subprocess.CalledProcessError(asker.returncode, inside)
    return status, json.loads(printed)


def main() -> int:
    """Print the answers; return the command's exit status, or 1 if an answer was another than 200."""
    status, answers = ask(sys.argv[1:])
    for host, counts in answers.items():
        print(f"{host}: {', '.join(f'{answer} {times} times' for answer, times in counts.items())}")
    return status or int(any(set(counts) != {"200"} for counts in answers.values()))


if __name__ == "__main__":
    sys.exit(main())
