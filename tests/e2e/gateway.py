"""A stand-in for the compose file's nginx: strips the prefix and passes on.

`python -m tests.e2e.gateway PORT name=port ...`
"""

import sys

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


def gateway(ports: dict[str, int]) -> Starlette:
    """`/training/v1/...` goes to training's `/v1/...`; a service that is away is 503, which may be tried again."""
    client = httpx2.AsyncClient(timeout=30, trust_env=False, limits=httpx2.Limits(max_connections=200))

    async def pass_on(request: Request) -> Response:
        name, _, path = request.url.path.lstrip("/").partition("/")
        if name not in ports:
            return Response(status_code=404)
        headers = {key: value for key, value in request.headers.items() if key not in {"host", *_HOP_BY_HOP}}
        try:
            answer = await client.request(
                request.method,
                f"http://127.0.0.1:{ports[name]}/{path}",
                params=request.query_params,
                headers=headers,
                content=await request.body(),
            )
        except httpx2.TransportError:
            return Response(status_code=503, headers={"Retry-After": "1"})
        kept = {key: value for key, value in answer.headers.items() if key not in _HOP_BY_HOP | {"content-encoding"}}
        return Response(answer.content, status_code=answer.status_code, headers=kept)

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    return Starlette(routes=[Route("/{path:path}", pass_on, methods=methods)])


if __name__ == "__main__":
    targets = {name: int(port) for name, _, port in (pair.partition("=") for pair in sys.argv[2:])}
    uvicorn.run(gateway(targets), host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
