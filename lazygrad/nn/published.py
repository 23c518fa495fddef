"""A file of a data set as published: looked for on this machine, else downloaded, and checked."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from .. import config
from ..errors import DatasetError, DownloadError


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file of a data set, and its checksum, "md5:..." or "sha256:..."."""

    dataset: str
    url: str
    checksum: str

    @property
    def name(self) -> str:
        """The file's name, which the address ends with."""
        return self.url.rsplit("/", 1)[1]

    def path(self) -> Path:
        """Where the file is: in LAZYGRAD_DATA/dataset, in LAZYGRAD_DATA, in the cache, or in the
        cache once it is downloaded.

        Raises DatasetError for a file that is not the published one, DownloadError where it is not
        to be had.
        """
        return self._found() or self._downloaded()

    def is_published(self, path: Path) -> bool:
        """Whether the file at `path` has the published checksum."""
        with path.open("rb") as stream:
            algorithm, wanted = self.checksum.split(":")
            return hashlib.file_digest(stream, algorithm).hexdigest() == wanted

    @property
    def _in_cache(self) -> Path:
        return config.LAZYGRAD_CACHE / "data" / self.dataset / self.name

    def _found(self) -> Path | None:
        places = [self._in_cache]
        if (data := config.LAZYGRAD_DATA) is not None:
            places = [data / self.dataset / self.name, data / self.name, *places]
        for path in places:
            if path.is_file():
                if not self.is_published(path):
                    raise DatasetError(
                        f"{path} is not the published file; replace it, or remove it to have it "
                        "downloaded again"
                    )
                return path
        return None

    def _downloaded(self) -> Path:
        """Fetch the file into the cache, at once: nobody ever sees half of it."""
        path = self._in_cache
        part = path.with_name(f"{self.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with urllib.request.urlopen(self.url, timeout=10.0) as reply, part.open("wb") as stream:
                while chunk := reply.read(1 << 20):
                    stream.write(chunk)
            if not self.is_published(part):
                raise DownloadError(
                    f"{self.dataset}: {self.url} gave another file than the published one"
                )
            os.replace(part, path)
        except (OSError, http.client.HTTPException) as error:
            raise DownloadError(
                f"{self.dataset}: {self.name} is not on this machine and could not be downloaded; "
                f"set LAZYGRAD_DATA to a folder that has {self.dataset}/{self.name} "
                f"({error or type(error).__name__})"
            ) from None
        finally:
            part.unlink(missing_ok=True)
        return path
