"""What a host of Debian 13 is brought to: an engine, a release of this repository, its stack as a unit, backups.

`make host HOST=...` runs this by pyinfra. Applied again it changes nothing; with another commit it changes the release.
"""

from pathlib import Path

from pyinfra import host
from pyinfra.facts.files import Directory, File
from pyinfra.operations import apt, files, server, systemd

HERE = Path(__file__).parent
RELEASE = f"/srv/portfolio/releases/{host.data.commit}"
CURRENT = "/srv/portfolio/current"
UNITS = ("portfolio.service", "portfolio-backup.service", "portfolio-backup.timer")

apt.packages(
    name="Engine, Compose, Python for the backup",
    packages=["ca-certificates", "docker.io", "docker-cli", "docker-compose", "docker-buildx", "python3"],
    no_recommends=True,
    update=True,
    cache_time=24 * 3600,
)
files.directory(name="A folder for releases", path="/srv/portfolio/releases", mode="755")
files.directory(name="A folder for backups, for root alone", path="/var/backups/portfolio", mode="700")

# It is moved into its place when it is whole: a folder that is there need not be unpacked again.
if not host.get_fact(Directory, path=RELEASE):
    files.put(name="Copy the release", src=host.data.archive, dest=f"{RELEASE}.tar", mode="600")
    server.shell(
        name="Unpack the release",
        commands=[
            f"rm -rf {RELEASE}.partial && mkdir {RELEASE}.partial",
            f"tar -x -f {RELEASE}.tar -C {RELEASE}.partial && mv {RELEASE}.partial {RELEASE} && rm {RELEASE}.tar",
        ],
    )
settings = files.put(name="Settings", src=host.data.settings, dest=f"{RELEASE}/.env", mode="600")

# Says that the images of these settings are there: a host that was set up with --no-start has none.
images = f"{RELEASE}/.images"
has_images = bool(host.get_fact(File, path=images))
files.file(name="Images of other settings", path=images, present=False, _if=settings.did_change)
if host.data.start:
    server.shell(
        name="Images of the release",
        commands=[f"cd {RELEASE} && docker compose {host.data.images} && touch {images}"],
        _if=lambda: not has_images or settings.did_change(),
    )
release = files.link(name="The release that runs", path=CURRENT, target=RELEASE)

units = [
    files.put(name=f"Unit {unit}", src=str(HERE / unit), dest=f"/etc/systemd/system/{unit}", mode="644")
    for unit in UNITS
]
systemd.daemon_reload(name="Read the units", _if=lambda: any(unit.did_change() for unit in units))
for unit in ("portfolio.service", "portfolio-backup.timer"):
    systemd.service(name=f"{unit}, now and after a start", service=unit, running=host.data.start or None, enabled=True)
systemd.service(
    name="Start what has changed",
    service="portfolio.service",
    running=None,
    reloaded=True,
    _if=lambda: bool(host.data.start) and (release.did_change() or settings.did_change()),
)
