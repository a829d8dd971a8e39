"""The page and the sample clip, as files."""

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from server.errors import ClientError
from server.settings import GatewaySettings


class _Fresh(StaticFiles):
    """Files that a browser asks for anew: a page and its scripts must be of one version."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def add_pages(app: FastAPI, settings: GatewaySettings) -> None:
    """`/sample.mp4`, `/sample.json`, the page with its files at `/` and `/static/`, and the
    library that it uses at `/clients/js/`: the page finds it as it stands in the repository."""

    def add_sample(name: str) -> None:
        @app.get(f"/sample.{name}", include_in_schema=False)
        def sample() -> FileResponse:
            path = settings.samples_folder / f"objects.{name}"
            if not path.is_file():
                raise ClientError("no_sample", f"There is no sample at {path}.", status=404)
            return FileResponse(path, headers={"Cache-Control": "no-cache"})

    for name in ("mp4", "json"):
        add_sample(name)
    library = _Fresh(directory=settings.library_folder, check_dir=False)
    app.mount("/clients/js", library)
    files = _Fresh(directory=settings.client_folder, html=True, check_dir=False)
    app.mount("/static", files)
    app.mount("/", files)
