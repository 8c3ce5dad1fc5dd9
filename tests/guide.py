"""What the operations guide gives to copy, for tests that hold it against the compose file or start it."""

import re
from pathlib import Path
from typing import Any

import yaml

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "operations.md"


def overrides() -> list[dict[str, Any]]:
    """Its docker-compose.override.yml files, in order: another issuer, the way to the mail server."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [yaml.safe_load(text) for text in blocks]
