"""What every service stands on. It knows no service; services never meet here, only in `shared.events`."""

VERSION = "0.2.0"
"""The release being made: in the interfaces' descriptions, and the name of its samples among the contracts
(those of earlier releases are only read)."""
