"""Prints the registration of the demonstration agencies, for the issuer's container: `make up DEMO=1`.

Only public keys leave this machine's `.tsunagu/clients`; `make demo` and `make token` sign with the private ones.
"""

from pathlib import Path

from demo.client import registered_clients

KEYS = Path(__file__).resolve().parent.parent / ".tsunagu" / "clients"


if __name__ == "__main__":
    print(registered_clients(KEYS).model_dump_json())
