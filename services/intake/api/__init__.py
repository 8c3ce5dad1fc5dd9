"""The counter's doors over HTTP: `shapes` on the wire, `cases` the endpoints."""
