"""A PostgreSQL server for the tests of sources, where the machine has one."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

PASSWORD = "s3cret@/x"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Address of a server that lives as long as these tests, the password as `${MLC_TEST_PASSWORD}`."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not programs:
        pytest.skip("there is no PostgreSQL server on this machine: apt-get install postgresql")
    bin_ = programs[-1].parent
    home = Path("/tmp") / f"mlc-postgres-{os.getpid()}"  # a short path: that of a socket has a limit
    home.mkdir()
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        shutil.chown(home, "postgres")
    (home / "password").write_text(PASSWORD)
    (home / "password").chmod(0o644)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(*command: object) -> None:
        subprocess.run(
            [*as_user, *map(str, command)], check=True, cwd=home, timeout=60, stdout=subprocess.DEVNULL
        )

    database = home / "db"
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {home} -F"
    try:
        run(bin_ / "initdb", "-D", database, "-U", "me", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync",
            "--pwfile", home / "password")  # fmt: skip
        run(bin_ / "pg_ctl", "-D", database, "-w", "-l", home / "log", "-o", options, "start")
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(home)
        pytest.skip(f"the PostgreSQL server of this machine does not start: {error}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLC_TEST_PASSWORD", quote(PASSWORD, safe=""))
        yield f"postgresql://me:${{MLC_TEST_PASSWORD}}@127.0.0.1:{port}/postgres"
    run(bin_ / "pg_ctl", "-D", database, "-m", "immediate", "stop")
    shutil.rmtree(home)
