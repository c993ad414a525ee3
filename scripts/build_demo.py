"""Build the demo: pages of services whose models run in the browser, as files that any host can serve.

A page is that of its project's service, with what the service answers to a GET in files beside it. In place of the
service, `demo/PROJECT/service.js` computes the other answers. Needs npm, for onnxruntime-web. Where there is no bundle,
one is trained on the sample, as `make up` does.
"""

import argparse
import asyncio
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from build_demo_models import MODELS, DemoError
from portfolio_shared.bundle import read_manifest
from portfolio_shared.serving import pages
from portfolio_shared.terminal import standard_streams
from project_table import ROOT, Project, projects

SOURCE = ROOT / "demo"
STATIC = Path(pages.__file__).parent / "static"
BUNDLES, TARGET = Path(".state/demo"), Path("build/demo")
ORT = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
# A page may ask its own host alone, and compile WebAssembly: what somebody chooses has no way out.
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'"
)
NOTICE = """<p class="notice" id="demo-notice" data-testid="demo-notice">
        <strong>This page runs in your browser.</strong> What you choose or enter is not sent anywhere.
        <span id="demo-state" data-testid="demo-state">The model is being loaded: {megabytes:.0f} MB.</span>
      </p>"""
CARD = """<article class="demo">
<h2><a href="{name}/">{title}</a></h2>
<p>{lead}</p>
<p class="demo-state"><strong>Runs in your browser.</strong> Trained on {data}; {megabytes:.0f} MB to load.</p>
</article>"""


def main() -> int:
    """Read the command line, build; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=Path, default=BUNDLES, help="folder of bundles (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=TARGET, help="folder to write (default: %(default)s)")
    parser.add_argument("--any-data", action="store_true", help="publish what other data than the sample taught")
    options = parser.parse_args()
    try:
        build(options.bundles, options.output, any_data=options.any_data)
    except DemoError as error:
        print(f"Not built: {error}", file=sys.stderr)
        return 1
    size = sum(path.stat().st_size for path in options.output.rglob("*") if path.is_file())
    look = f"python3 -m http.server --bind 127.0.0.1 --directory {options.output}"
    print(f"{options.output}: {size / 1e6:.1f} MB. Look at it: {look}")
    return 0


def build(bundles: Path, output: Path, *, any_data: bool = False) -> None:
    """Write the demo into a folder that is made anew; train the bundles that are missing."""
    chosen = [project for project in projects() if (SOURCE / project.name).is_dir()]
    for project in chosen:
        require_bundle(project, bundles / project.name, any_data=any_data)
    shutil.rmtree(output, ignore_errors=True)
    with TemporaryDirectory() as packages:
        node_modules = install(Path(packages))
        cards = [add_project(project, bundles / project.name, output, chosen, node_modules) for project in chosen]
    shutil.copytree(STATIC, output / "static", ignore=shutil.ignore_patterns("page.*"))
    index = Template((SOURCE / "index.html").read_text(encoding="utf-8"))
    text = index.substitute(policy=escape(POLICY), cards="\n".join(cards))
    (output / "index.html").write_text(text, encoding="utf-8")


def require_bundle(project: Project, bundle: Path, *, any_data: bool) -> None:
    """Train a bundle if there is none, and refuse one whose data may have terms that forbid to publish it."""
    if not bundle.is_dir():
        print(f"No bundle in {bundle}: training {project.name} on its sample")
        program = Path(sys.executable).with_name(project.name)
        flags = ["--data", "sample", "--output", str(bundle), "--tracking-uri", "", *project.first_train_flags]
        subprocess.run([program, "train", *flags], check=True)
    data = read_manifest(bundle).data
    if data.source != "sample" and not any_data:
        raise DemoError(
            f"{bundle} learned from {data.name}, whose terms may forbid to publish it (MovieLens' do): name another "
            "folder with --bundles, or say --any-data"
        )


def install(folder: Path) -> Path:
    """Install the npm packages that the lock names, without their scripts; return their folder."""
    npm = shutil.which("npm")
    if npm is None:
        raise DemoError("there is no npm: install Node.js (Debian: apt-get install npm)")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCE / name, folder)
    subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
    return folder / "node_modules"


def add_project(project: Project, bundle: Path, output: Path, others: Sequence[Project], node_modules: Path) -> str:
    """Write the folder of a project; return its card on the first page."""
    target, web = output / project.name, project.folder / "src" / project.package / "serving" / "web"
    shutil.copytree(STATIC, target / "static", ignore=shutil.ignore_patterns("page.html", "start.css"))
    shutil.copytree(web, target / "web", ignore=shutil.ignore_patterns("index.html"))
    shutil.copytree(SOURCE / project.name, target / "local", ignore=shutil.ignore_patterns("credits.html"))
    shutil.copy(SOURCE / "local_service.js", target / "local")
    (target / "model").mkdir()
    needs_ort = MODELS[project.name](bundle, target)
    if needs_ort:
        (target / "local" / "ort").mkdir()
        for name in ORT:
            shutil.copy(node_modules / "onnxruntime-web" / "dist" / name, target / "local" / "ort")
    answers = asyncio.run(ask_service(project, bundle))
    for path, answer in answers.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes(answer)
    loaded = [*(target / "model").iterdir(), *(target / "local").rglob("*.wasm")]
    megabytes = sum(path.stat().st_size for path in loaded) / 1e6
    page = page_of(project, (web / "index.html").read_text(encoding="utf-8"), others, megabytes)
    (target / "index.html").write_text(page, encoding="utf-8")
    texts = {
        "name": project.name,
        "title": project.title,
        "lead": project.lead,
        "data": read_manifest(bundle).data.name,
    }
    return CARD.format(**{key: escape(text) for key, text in texts.items()}, megabytes=megabytes)


async def ask_service(project: Project, bundle: Path) -> dict[str, bytes]:
    """Return what the service of a bundle answers to each GET of its page, by the name of a file."""
    settings = importlib.import_module(f"{project.package}.config").ServeSettings(bundle=bundle, prediction_log="off")
    app = importlib.import_module(f"{project.package}.serving.app").create_app(settings)
    files: dict[str, bytes] = {}
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as service,
    ):

        async def get(path: str) -> httpx.Response:
            return (await service.get(f"/{path}")).raise_for_status()

        async with asyncio.timeout(LOAD_SECONDS):
            while not (await service.get("/readyz")).is_success:  # noqa: ASYNC110 - its model loads in a thread
                await asyncio.sleep(0.05)
        for path in ("v1/model", *GETS[project.name]):
            answer: dict[str, Any] = (await get(path)).json()
            for example in answer.get("examples", ()):
                files[f"v1/examples/{example['name']}.jpg"] = (await get(f"v1/examples/{example['name']}")).content
                example["name"] += ".jpg"  # a host of files says what a file holds by its ending
            if "formats" in answer:
                answer["formats"].remove("HEIC")  # only Safari decodes it
            files[f"{path}.json"] = json.dumps(answer).encode()
    return files


LOAD_SECONDS = 60.0
GETS = {"image-classifier": ("v1/labels",), "recommender": ("v1/catalogue",)}


def page_of(project: Project, source: str, others: Sequence[Project], megabytes: float) -> str:
    """Return the page of a project's service as one that needs none."""
    links = ['<a href="../">All demos</a>']
    for other in others:
        link = f'<a href="../{other.name}/">{escape(other.title)}</a>'
        links.append(f'<span aria-current="page">{escape(other.title)}</span>' if other == project else link)
    navigation = f'<nav class="demo-links" aria-label="Demos">{" ".join(links)}</nav>'
    script = f'<script type="module" src="web/{project.name}.js"></script>'
    credit = (SOURCE / project.name / "credits.html").read_text(encoding="utf-8")
    page, head = pages.fill_page(source), '<meta charset="utf-8">'
    for old, new in {
        head: f'{head}\n    <meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        script: f'<script type="module" src="local/service.js"></script>\n    {script}',
        "<!-- demos -->": navigation,
        '<div class="page-notices">': f'<div class="page-notices">\n      {NOTICE.format(megabytes=megabytes)}',
        'The same answers come from the <a href="docs">API</a>.': "The model runs in it.",
        '<a href="docs">API</a>': "",
        '<a href="v1/model">': '<a href="v1/model.json">',
        '<a href="metrics">Metrics</a>': credit,
    }.items():
        if page.count(old) != 1:
            raise DemoError(f"the page of {project.name} has {page.count(old)} times, and not once: {old}")
        page = page.replace(old, new)
    return page


if __name__ == "__main__":
    with standard_streams():
        sys.exit(main())
