"""`aigv-reward serve`: scores over HTTP."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aigv_reward.cli.errors import CommandError, UsageError, note
from aigv_reward.cli.options import Checkpoint
from aigv_reward.cli.rank import parse_weights

if TYPE_CHECKING:
    from aigv_reward.integrations.server import ServerSettings

MIB = 1 << 20
LARGEST = 1 << 20  # a TiB in MiB, days in seconds: what the kernel's limits can hold
NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "PIL")


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but a loopback one needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with the token that clients must send.",
            show_default=False,
        ),
    ] = None,
    allow_root: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder whose videos may be named by path; default: none may.",
            show_default=False,
        ),
    ] = None,
    checkpoint: Checkpoint = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DEV",
            help="cpu, cuda:0, ...; may be repeated, a model each. Default cuda, else cpu.",
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT",
            help="What /compute answers: a dimension, or weights such as motion=0.5,technical=0.5.",
            show_default="overall",
        ),
    ] = None,
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="Answer z-scores against the reference set.")
    ] = False,
    fps: Annotated[
        float | None,
        typer.Option(help="Of videos that come without, as /compute's do.", show_default=False),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Videos that go through the model at once.")
    ] = 8,
    max_wait: Annotated[
        float, typer.Option(min=0.0, help="Milliseconds that a video waits for a batch to fill.")
    ] = 20.0,
    decoders: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Videos decoded at once; default a processor each, 4 at most.",
            show_default=False,
        ),
    ] = None,
    max_queue: Annotated[
        int,
        typer.Option(min=1, help="Videos that may wait; beyond it the answer is 503, try again."),
    ] = 256,
    max_body: Annotated[
        int,
        typer.Option(
            min=1,
            max=LARGEST,
            metavar="MIB",
            help="Of one request; on disk all of them may take 8 times as much.",
        ),
    ] = 512,
    body_timeout: Annotated[
        float, typer.Option(min=1.0, metavar="SECONDS", help="For a request's body to arrive.")
    ] = 60.0,
    request_timeout: Annotated[
        float,
        typer.Option(
            min=1.0,
            metavar="SECONDS",
            help="For its answer, then 503; a batch of the model may take 2/5 of it.",
        ),
    ] = 300.0,
    decode_timeout: Annotated[
        int,
        typer.Option(
            min=1,
            max=LARGEST,
            metavar="SECONDS",
            help="Of a processor, for one video; twice that on the clock.",
        ),
    ] = 60,
    decode_memory: Annotated[
        int,
        typer.Option(min=64, max=LARGEST, metavar="MIB", help="That decoding one video may take."),
    ] = 2048,
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Certificate chain in PEM: serve HTTPS.", show_default=False
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Its private key; default: in the same file.", show_default=False
        ),
    ] = None,
) -> None:
    """Score videos over HTTP, until Ctrl-C.

    POST /v1/score, GET /v1/info, /healthz, /readyz, /metrics, and Flow-Factory's /compute.
    """
    _need_extra()
    from aigv_reward.integrations.server import Limits, ServerSettings

    body_bytes = max_body * MIB
    try:
        settings = ServerSettings(
            host=host,
            port=port,
            token=None if token_file is None else _token(token_file),
            allow_root=None if allow_root is None else str(allow_root),
            checkpoint=checkpoint,
            devices=tuple(device) if device else (None,),
            weights=None if by is None else {str(k): v for k, v in parse_weights(by).items()},
            calibrated=calibrated,
            tls_cert=None if tls_cert is None else str(tls_cert),
            tls_key=None if tls_key is None else str(tls_key),
            fps=fps,
            batch_size=batch_size,
            max_wait=max_wait / 1000,
            decoders=decoders,
            limits=Limits(
                body_bytes=body_bytes,
                spool_bytes=8 * body_bytes,
                # Frames that fit into a body are not too many; as PNG many fit into a small one.
                video_pixels=max(body_bytes // 2, Limits.video_pixels),
                queue_items=max_queue,
                items=min(max_queue, Limits.items),
                body_seconds=body_timeout,
                request_seconds=request_timeout,
                batch_seconds=0.4 * request_timeout,
                decode_seconds=decode_timeout,
                decode_memory=decode_memory * MIB,
            ),
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    _run(settings)


def _run(settings: ServerSettings) -> None:
    from aigv_reward.integrations.server import serve as run

    log = logging.getLogger("aigv_reward.server")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of what is refused
    try:
        run(settings, announce=lambda address: note(f"scores videos at {address}"))
    except ValueError as error:
        raise CommandError(str(error)) from error
    finally:
        log.removeHandler(handler)


def _token(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"token file {str(path)!r} cannot be read ({error}); write a token into it, such as "
            "`openssl rand -hex 32` prints"
        ) from error


def _need_extra() -> None:
    for name in NEEDED:
        if find_spec(name) is None:
            raise CommandError(f'serve needs {name}: pip install "aigv-reward[server]"')
