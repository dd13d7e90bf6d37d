"""What a node keeps of what it has published, in `good/`: for a file that is damaged, for an API that Envoy refuses
after a restart, and for people who look back."""

import logging
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from portal.gateway import ir
from portal.gateway.files import replace_private, write_private
from portal.gateway.resource import is_whole

log = logging.getLogger(__name__)

_MOST_SETS = 5
_MASKED = "masked"
"""In the name of a set: older versions kept them as they were, secrets and all."""


class Kept:
    """The folder `good/` of a node's folder. Its copies and its APIs hold the secrets that are in use, no former ones;
    its sets hold none."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._good = directory / "good"

    def prepare(self) -> None:
        """Secrets that a killed node or an older version has left behind go."""
        self._good.mkdir(exist_ok=True)
        for left in (*(self._directory / "new").iterdir(), *self._directory.glob("twin.*.json")):
            left.unlink(missing_ok=True)
        for old in self._sets():
            if f"-{_MASKED}-" not in old.name:
                shutil.rmtree(old, ignore_errors=True)

    def copy(self, names: Iterable[str]) -> None:
        """Remember these files as they are served now."""
        for name in names:
            self._keep(self._copy_of(name), (self._directory / name).read_bytes())

    def last(self, name: str) -> bytes | None:
        """The file as it was published last; nothing older, which might bring back what was withdrawn since."""
        path = self._directory / self._copy_of(name)
        if not path.exists():
            return None
        if not is_whole(content := path.read_bytes()):
            log.error("%s is gone or damaged, and so is its copy %s. Nothing of it is served for now.", name, path)
            return None
        log.warning("%s was gone or damaged. Taking its copy %s.", name, path)
        return content

    def remember(self, apis: Iterable[ir.Api]) -> None:
        """The APIs that are served. To be said whenever one changes, also where no file of Envoy's does, as for an API
        whose target has no address: their secrets stand here."""
        self._keep("good/apis.json", orjson.dumps(tuple(apis)))

    def apis(self) -> dict[int, ir.Api]:
        """What was remembered last, by id; nothing where that is gone or of no use."""
        path = self._good / "apis.json"
        try:
            apis = [_api(values) for values in orjson.loads(path.read_bytes())]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("%s is of no use and is left aside: %s", path, error)
            return {}
        return {api.id: api for api in apis}

    def add_set(self, revision: int, names: Iterable[str], masked: Mapping[str, bytes]) -> None:
        """For people: the files as they are served, but for those that hold secrets, of which `masked` has a form
        without. The last five sets stay."""
        # A clock that went back must not make the newest look like the oldest.
        last = max((int(each.name.partition("-")[0]) for each in self._sets()), default=0)
        kept = self._good / f"{max(time.time_ns(), last + 1)}-{_MASKED}-revision-{revision}"
        kept.mkdir()
        for name in names:
            file = self._directory / name
            if name in masked and masked[name] != file.read_bytes():
                write_private(kept / file.name, masked[name])
            else:
                # A link costs no space: the file itself is never written again, only replaced.
                os.link(file, kept / file.name)
        for old in self._sets()[:-_MOST_SETS]:
            shutil.rmtree(old, ignore_errors=True)

    def _keep(self, name: str, content: bytes) -> None:
        path = self._directory / name
        if not path.exists() or content != path.read_bytes():
            replace_private(self._directory, name, content)

    def _sets(self) -> list[Path]:
        """The oldest first."""
        return sorted(self._good.glob("*-revision-*"))

    @staticmethod
    def _copy_of(name: str) -> str:
        return f"good/{Path(name).name}"


def _api(values: dict[str, Any]) -> ir.Api:
    upstream = values.pop("upstream")
    targets = tuple(ir.Target(**target) for target in upstream.pop("targets"))
    credential, certificate = values.pop("credential", None), upstream.pop("client_certificate", None)
    jwt = values.pop("jwt", None)
    return ir.Api(
        **values,
        jwt=ir.Jwt(**jwt | {"audiences": tuple(jwt["audiences"])}) if jwt else None,
        credential=ir.Credential(**credential) if credential else None,
        upstream=ir.Upstream(
            targets=targets,
            client_certificate=ir.ClientCertificate(**certificate) if certificate else None,
            **upstream,
        ),
    )
