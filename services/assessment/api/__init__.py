"""Assessment over HTTP: `shapes` on the wire, `assessments` and `rubrics` the endpoints."""
