"""What is fixed before a network runs."""

import json
import subprocess
import sys

import pytest

from connectomake.errors import ModelError
from connectomake.networks.device import prepare_device

FAULTS = """
import json, resource, sys, torch
from connectomake.networks.device import prepare_device
if sys.argv[1] == "kept":
    prepare_device("cpu", 1, "device")
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.zeros(16 << 20).add_(1)
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before))
"""


def faults(mode: str) -> int:
    run = subprocess.run([sys.executable, "-c", FAULTS, mode], check=True, capture_output=True, text=True)
    return int(json.loads(run.stdout))


BITS = """
import hashlib, sys, torch
from connectomake.networks.device import prepare_device
from connectomake.networks.rsunet import RSUNet
torch.set_num_threads(1)
if sys.argv[1] == "kept":
    prepare_device("cpu", 1, "device")
torch.manual_seed(0)
network, image = RSUNet(1, 3, (4, 8)).eval(), torch.rand(1, 1, 24, 32, 32)
with torch.inference_mode():
    print([hashlib.sha256(network(image).numpy().tobytes()).hexdigest() for _ in range(3)])
"""


@pytest.mark.slow
def test_kept_memory_changes_no_bit() -> None:
    said = [subprocess.run([sys.executable, "-c", BITS, m], check=True, capture_output=True).stdout for m in ("plain", "kept")]
    assert said[0] == said[1]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc")
def test_freed_memory_is_used_again() -> None:
    """Tensors of 64 MB touch fresh pages each time, unless the process keeps what was freed."""
    assert faults("kept") * 20 < faults("plain")


@pytest.mark.slow
def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match=r"inference.device is 'cuda:7', but torch finds no CUDA device here: use cpu or auto"):
        prepare_device("cuda:7", 1, "inference.device")
