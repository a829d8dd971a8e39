"""Where a checkpoint lies: a folder, or a hub id that is fetched or already in the cache.

Knows nothing of what a checkpoint holds.
"""

from pathlib import Path
from typing import Final

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from model_worker.errors import ModelError

HUB_SECONDS: Final = 10.0
"""How long the hub may take to say what it has; the cache is taken after that."""
_SETTINGS: Final = ("*.json", "*.txt", "*.model", "*.jinja")
_WEIGHTS: Final = ("*.safetensors",)


def resolve_folder(model: str | Path, revision: str | None = None, *, weights: bool = True) -> Path:
    """The folder of a checkpoint: `model` itself, or what the hub or its cache holds of a hub id.

    `revision` is a branch, tag or commit on the hub. Where the hub does not answer, or
    HF_HUB_OFFLINE is set, the cache alone decides. Without `weights` only what describes the model
    is fetched. Raises ModelError where neither has it, and for
    a folder with a revision.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise ModelError(
                f"{folder} is a folder and has no revision {revision!r}: leave the revision out, "
                "or give a hub id"
            )
        if not (folder / "config.json").is_file():
            raise ModelError(f"{folder} holds no config.json: it is no checkpoint")
        return folder
    name = str(model)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise ModelError(f"{model} is no folder; give a checkpoint's folder or a hub id owner/name")
    files = [*_SETTINGS, *(_WEIGHTS if weights else ())]
    unreachable = _ask_hub(name, revision)
    if unreachable is not None:
        return _cached(name, revision, files, unreachable)
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=files))
    except Exception as error:  # the client raises many kinds; each means a download cut short
        raise ModelError(
            f"{name} could not be fetched from the hub ({_reason(error)}): try again, what has "
            f"come so far is kept in {constants.HF_HUB_CACHE}"
        ) from error


def _ask_hub(name: str, revision: str | None) -> str | None:
    """None where the hub has it, else why the hub cannot say. Raises ModelError where it says no.

    Asked first because the client's own downloads wait without end for a hub that takes
    connections and is silent.
    """
    at = f" at revision {revision!r}" if revision else ""
    try:
        HfApi().model_info(name, revision=revision, timeout=HUB_SECONDS)
    except HFValidationError as error:
        raise ModelError(f"{name} is neither a folder nor a hub id ({_reason(error)})") from error
    except GatedRepoError as error:
        raise ModelError(
            f"{name} is gated: accept its terms on its page on the hub, then `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(
            f"the hub has {name}, but not{at}: give a branch, tag or commit that its page lists"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"the hub has no model {name}: check the name; for a private one, `hf auth login`"
        ) from error
    except Exception as error:  # no network, a proxy, a silent or broken hub, offline mode
        return _reason(error)
    return None


def _cached(name: str, revision: str | None, files: list[str], unreachable: str) -> Path:
    try:
        found = snapshot_download(
            name, revision=revision, allow_patterns=files, local_files_only=True
        )
    except Exception as error:
        at = f" at revision {revision!r}" if revision else ""
        there = "not whole" if "incomplete" in str(error) else "not"
        raise ModelError(
            f"{name}{at} is no local folder and {there} in the cache {constants.HF_HUB_CACHE}, and "
            f"it could not be fetched from the hub ({unreachable}): give a folder, or fetch it "
            "where there is a network and copy the cache"
        ) from error
    return Path(found)


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
