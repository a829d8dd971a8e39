"""Where the files are that Lookback ships beside its code: the page, the JavaScript client, the
sample clip, the embedded model and the profiles.

In a wheel they lie inside this package (pyproject.toml puts them there), in the repository beside
it. Knows nothing of what they are for.
"""

from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
ROOT: Final = _HERE if (_HERE / "client_web").is_dir() else _HERE.parent
PAGE: Final = ROOT / "client_web"
LIBRARY: Final = ROOT / "clients" / "js"
SAMPLES: Final = ROOT / "samples"
PROFILES: Final = ROOT / "configs"
MODEL: Final = ROOT / "models" / "lookback-mini"
