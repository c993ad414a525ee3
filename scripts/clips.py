"""Record each project's page in use, and photograph it: projects/PROJECT/docs/clip.webp and page.png.

The services run with models of the samples, whose data may be shown; a bundle that is missing is trained, as
`make demo` does. The stories are in clips_stories.py.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright

from build_demo import BUNDLES, require_bundle
from build_demo_models import DemoError
from clips_recorder import SCALE, SIZE, Recorder
from clips_stories import SHOTS, STORIES
from portfolio_shared.terminal import standard_streams
from processes import HOST, free_port, start, wait_until_ready
from project_table import Project, projects

LARGEST = 3_000_000  # bytes of a clip
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main() -> int:
    """Read the command line, record; return the exit status."""
    table = {project.name: project for project in projects() if project.name in STORIES}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(table), metavar="PROJECT", help=f"of {', '.join(table)}")
    parser.add_argument("--bundles", type=Path, default=BUNDLES, help="folder of bundles (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="folder instead of the projects' docs; named PROJECT-clip.webp")
    options = parser.parse_args()
    try:
        with browser() as chromium:
            for project in map(table.__getitem__, options.names):
                require_bundle(project, options.bundles / project.name, any_data=True)
                docs = project.folder / "docs"
                clip, page = (docs / name for name in ("clip.webp", "page.png"))
                if options.output is not None:
                    clip, page = (options.output / f"{project.name}-{path.name}" for path in (clip, page))
                with service(project, options.bundles / project.name) as address:
                    record(chromium, project, address, clip)
                    photograph(chromium, project, address, page)
    except DemoError as error:
        print(f"Not recorded: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the Chromium that is installed."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise DemoError("no Chromium on PATH: install one (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--headless", "--no-sandbox"])
        yield launched
        launched.close()


@contextmanager
def service(project: Project, bundle: Path) -> Iterator[str]:
    """Run the service of a bundle, without a log of predictions; yield its address."""
    port = free_port()
    settings = {"PORT": str(port), "BUNDLE": str(bundle.resolve()), "PREDICTION_LOG": "off"}
    environment = os.environ | {f"{project.prefix}{name}": value for name, value in settings.items()}
    program = Path(sys.executable).with_name(project.name)
    with (
        TemporaryDirectory() as folder,
        start(
            f"the {project.name} service",
            [program, "serve"],
            log=Path(folder) / "service.log",
            folder=Path(folder),
            environment=environment,
            guarded=True,
        ) as process,
    ):
        wait_until_ready(process, port)
        yield f"http://{HOST}:{port}/"


def record(chromium: Browser, project: Project, address: str, path: Path) -> None:
    """Write the clip of a page."""
    page = chromium.new_page(viewport=SIZE, device_scale_factor=SCALE, reduced_motion="reduce")
    page.goto(address)
    recorder = Recorder(page)
    STORIES[project.name](recorder)
    page.close()
    seconds = recorder.save(path)
    size = path.stat().st_size
    print(f"{path}: {seconds:.0f} s, {size / 1e6:.2f} MB")
    if size > LARGEST:
        raise DemoError(f"{path} has more than {LARGEST / 1e6:g} MB: shorten its story")


def photograph(chromium: Browser, project: Project, address: str, path: Path) -> None:
    """Write the picture of a page, from its top to where its story says that it ends."""
    page = chromium.new_page(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
    page.goto(address)
    page.screenshot(path=path, full_page=True, clip=SHOTS[project.name](page))
    page.close()
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    with standard_streams():
        sys.exit(main())
