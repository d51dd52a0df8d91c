"""The control API on its Unix socket. `sidecar.wire.control` is its contract."""

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sidecar.domain.errors import InvalidArguments, Unknown
from sidecar.http_errors import exception_handlers
from sidecar.pod.pod import Pod
from sidecar.wire.control import HandOver, StopRequest
from sidecar.wire.model import reveal

MAX_WAIT_SECONDS = 60.0


class TurnUnknown(Unknown):
    code = "turn_unknown"


def control_app(pod: Pod) -> Starlette:
    app = Starlette(
        routes=[
            Route("/healthz", _healthz, methods=["GET"]),
            Route("/session", _session, methods=["PUT"]),
            Route("/checkout", _checkout, methods=["POST"]),
            Route("/boot", _boot, methods=["POST"]),
            Route("/steps", _steps, methods=["GET"]),
            Route("/turns/{n:int}", _turn, methods=["GET"]),
            Route("/park", _park, methods=["POST"]),
            Route("/end", _end, methods=["POST"]),
            Route("/stop", _stop, methods=["POST"]),
        ],
        exception_handlers=dict(exception_handlers),
    )
    app.state.pod = pod
    return app


async def _healthz(_: Request) -> Response:
    return Response("ok\n")


async def _session(request: Request) -> Response:
    hand_over = HandOver.model_validate_json(await request.body())
    await _pod(request).hand_over(hand_over)
    return Response(status_code=204)


async def _checkout(request: Request) -> Response:
    return _answer(await _pod(request).activation.check_out())


async def _boot(request: Request) -> Response:
    return _answer(await _pod(request).activation.boot())


async def _steps(request: Request) -> Response:
    after = int(_number(request, "after"))
    step = await _pod(request).activation.story.step(after, _wait(request))
    return _answer(step) if step is not None else Response(status_code=204)


async def _turn(request: Request) -> Response:
    number = int(request.path_params["n"])
    report = await _pod(request).activation.story.turn(number, _wait(request))
    if report is None:
        raise TurnUnknown(f"there is no turn {number} in this activation")
    return _answer(report)


async def _park(request: Request) -> Response:
    return _answer(await _pod(request).activation.park())


async def _end(request: Request) -> Response:
    return _answer(await _pod(request).activation.end())


async def _stop(request: Request) -> Response:
    """Answers first: the process then gives the lease up and exits."""
    body = await request.body()
    reason = StopRequest.model_validate_json(body).reason if body else ""
    _pod(request).end(reason or "stopped by its flow")
    return Response(status_code=204)


def _pod(request: Request) -> Pod:
    pod = request.app.state.pod
    assert isinstance(pod, Pod)
    return pod


def _answer(model: BaseModel) -> Response:
    return Response(reveal(model), media_type="application/json")


def _wait(request: Request) -> float:
    return min(MAX_WAIT_SECONDS, max(0.0, _number(request, "wait")))


def _number(request: Request, name: str) -> float:
    text = request.query_params.get(name, "0")
    try:
        return float(text)
    except ValueError as error:
        raise InvalidArguments(f"{name}: expected a number, not {text[:40]!r}") from error
