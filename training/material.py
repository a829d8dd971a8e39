"""Fetches the pictures that training draws with: Twemoji's and openly licensed photographs.

    python -m training.material --out runs/material

They come from Debian's, PyPI's and npm's registries and are not part of this repository; who made
them and under which licence stands in CREDITS and in NOTICE. Needs `apt-get`, `dpkg-deb`, `npm`.
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

TWEMOJI: Final = "emoji-datasource-twitter@16.0.0"
WALLPAPERS: Final = "lomiri-wallpapers-16.04"
SAMPLES: Final = "scikit-learn==1.5.2"

LANDSCAPES: Final = "endless-sky-data"

# File, who took it, under which licence. The last three are for evaluation alone.
CREDITS: Final = (
    ("aitzgorri_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC BY 4.0"),
    ("life_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC BY 4.0"),
    ("picosdeeuropa_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC BY 4.0"),
    ("Picture_0B_by_freespace.jpg", "Trevor “Freespace”", "CC BY 4.0"),
    ("umang_by_Abhishek_Mudgal.jpg", "Abhishek Mudgal", "CC BY 4.0"),
    ("seeding_by_Clements_Engelhardt.jpg", "Clemens Engelhardt", "CC0 1.0"),
    ("china.jpg", "Daniel Buechele", "CC BY 2.0"),
    ("Wine_by_Jakkub_Mede.jpg", "Jakub Mede", "CC BY 4.0"),
    ("sunset_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", "CC BY 4.0"),
    ("Picture_1A_by_freespace.jpg", "Trevor “Freespace”", "CC BY 4.0"),
    ("flower.jpg", "vultilion", "CC BY 2.0"),
)
HELD_OUT_PHOTOS: Final = 3

# The landscapes' photographers; all others' are in the public domain. Space has objects in it.
LANDSCAPE_CREDITS: Final = (
    ("Berthold Werner", "CC BY-SA 3.0"), ("Myrabella", "CC BY-SA 3.0"),
    ("Dmitry A. Mottl", "CC BY-SA 3.0"), ("Matthew Field", "CC BY-SA 3.0"),
    ("Chris Pickel", "CC BY-SA 4.0"), ("Michael Wilso", "CC BY-SA 4.0"),
    ("@harro.eu", "CC BY-SA 4.0"), ("@Iridium Ore", "CC BY-SA 4.0"),
    ("Eric Denni", "CC BY-SA 4.0"), ("Michael Zahniser", "CC BY-SA 4.0"),
)  # fmt: skip
_SPACE: Final = ("earthrise", "nasa", "space", "station")


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def fetch_twemoji(work: Path, out: Path) -> None:
    """PNG files of 64x64 pixels, named by code points, into `out`."""
    _run(work, "npm", "pack", "--silent", TWEMOJI)
    prefix = "package/img/twitter/64/"
    with tarfile.open(next(work.glob("emoji-datasource-twitter-*.tgz"))) as packed:
        for member in packed:
            if member.isfile() and member.name.startswith(prefix):
                content = packed.extractfile(member)
                assert content is not None
                (out / Path(member.name).name).write_bytes(content.read())


def fetch_photos(work: Path, out: Path) -> None:
    """The files of CREDITS into `out`."""
    _run(work, "apt-get", "download", "-qq", WALLPAPERS)
    _run(work, "dpkg-deb", "-x", str(next(work.glob("lomiri-*.deb"))), "wallpapers")
    _run(work, sys.executable, "-m", "pip", "download", "-q", "--no-deps", SAMPLES)
    with zipfile.ZipFile(next(work.glob("scikit_learn-*.whl"))) as wheel:
        for name in wheel.namelist():
            if name.startswith("sklearn/datasets/images/"):
                wheel.extract(name, work / "wallpapers")
    found = {path.name: path for path in (work / "wallpapers").rglob("*.jpg")}
    for name, *_ in CREDITS:
        shutil.copy(found[name], out / name)


def fetch_landscapes(work: Path, out: Path) -> None:
    """249 photographs of 720x360 pixels that a game shows, into `out`."""
    _run(work, "apt-get", "download", "-qq", LANDSCAPES)
    _run(work, "dpkg-deb", "-x", str(next(work.glob("endless-*.deb"))), "game")
    for path in (work / "game").rglob("images/land/*.jpg"):
        if not path.name.startswith(_SPACE):
            shutil.copy(path, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    parts = {"twemoji": fetch_twemoji, "photos": fetch_photos, "landscapes": fetch_landscapes}
    for name, fetch in parts.items():
        done, work = args.out / name, (args.out / "fetched" / name).resolve()
        if done.exists():
            continue
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        partial = args.out / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        fetch(work, partial)
        partial.rename(done)
        shutil.rmtree(work)
        print(f"{len(list(done.iterdir()))} files in {done}")


if __name__ == "__main__":
    main()
