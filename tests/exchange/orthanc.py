"""Store DICOM files in an Orthanc and fetch them back: ``python orthanc.py FROM TO``.

The Orthanc lives in a temporary folder, on the loopback of the network namespace that this runs
in, and ends with it. Files go in over the DICOM protocol (DCMTK's dcmsend) and come out over
REST, named by their SOP Instance UIDs; what the archive makes of them is printed as JSON.
"""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

_SIOCSIFFLAGS, _UP_AND_RUNNING = 0x8914, 0x41
_PATIENCE = 60.0


def main(given: Path, fetched: Path) -> None:
    _raise_loopback()
    http, dicom = _free_port(), _free_port()
    url = f"http://127.0.0.1:{http}"
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "Name": "ENDPLATE", "DicomAet": "ARCHIVE", "HttpPort": http, "DicomPort": dicom,
            "StorageDirectory": f"{folder}/store", "IndexDirectory": f"{folder}/store",
            "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
            "DicomAlwaysAllowStore": True, "Plugins": [],
        }  # fmt: skip
        path = Path(folder, "orthanc.json")
        path.write_text(json.dumps(settings))
        with Path(folder, "log").open("wb") as log:
            archive = subprocess.Popen(["Orthanc", str(path)], stdout=log, stderr=log)
        try:
            _until_it_answers(url, archive)
            files = sorted(str(p) for p in given.glob("*.dcm"))
            subprocess.run(
                ["dcmsend", "-aec", "ARCHIVE", "127.0.0.1", str(dicom), *files], check=True
            )
            for number in _json(f"{url}/instances"):
                tags = _json(f"{url}/instances/{number}/simplified-tags")
                with urllib.request.urlopen(f"{url}/instances/{number}/file") as answer:
                    (fetched / f"{tags['SOPInstanceUID']}.dcm").write_bytes(answer.read())
            kinds = ("patients", "studies", "series", "instances")
            print(json.dumps({kind: len(_json(f"{url}/{kind}")) for kind in kinds}))
        finally:
            archive.kill()  # it takes seconds to end in order, and its folder goes anyway
            archive.wait()


def _raise_loopback() -> None:
    """In a network namespace of its own the loopback is down; elsewhere it is up already."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            fcntl.ioctl(one, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _UP_AND_RUNNING))
    except PermissionError:
        pass


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _until_it_answers(url: str, archive: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and archive.poll() is None:
        try:
            _json(f"{url}/system")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("Orthanc did not start.")


def _json(url: str):
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
