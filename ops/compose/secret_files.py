"""Make the secrets of an installation, once: passwords and the issuer's signing key, each a file of its own.

Runs inside a service's image, before what needs the files, as `python secret_files.py KIND=PATH ... [-- COMMAND]`.
What is there already is never overwritten, for the database remembers the password it was given.
"""

import base64
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def main(arguments: list[str]) -> None:
    """Make what is missing, then become COMMAND if one is given."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    wanted, command = arguments[:end], arguments[end + 1 :]
    for item in wanted:
        kind, _, path = item.partition("=")
        make(KINDS[kind], Path(path))
    if command:
        os.execvp(command[0], command)  # noqa: S606  # the command stands in docker-compose.yml


def make(content: Callable[[], bytes], path: Path) -> None:
    """Write a new secret under its name only when it is whole: a start that was cut off leaves nothing half-made."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    # 0440: its owner and PostgreSQL, which is in the owner's group; nobody writes it again.
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o440), "wb") as file:
        file.write(content())
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def password() -> bytes:
    """256 bits, in letters that need no quoting anywhere."""
    return secrets.token_urlsafe(32).encode()


def es256() -> bytes:
    """A private key on P-256 as the issuer signs with it."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def master_keys() -> bytes:
    """A first key that wraps the cases' keys, and one for the blind indexes, in the form of `shared.vault.masters`."""
    master, index = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
    return f"master 1 {master}\nindex 1 {index}\n".encode()


def clients() -> bytes:
    """The issuer's register before anybody is in it."""
    return b'{"clients": []}\n'


KINDS: dict[str, Callable[[], bytes]] = {
    "password": password,
    "es256": es256,
    "clients": clients,
    "master_keys": master_keys,
}


if __name__ == "__main__":
    main(sys.argv[1:])
