"""Where the rows of a data set are while batches are made of them, and what that takes of memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from aerepr.data.decoded import Memory, open_images
from aerepr.data.held import HeldDataset
from aerepr.data.mapped import MappedRows
from aerepr.data.npz import find_npz
from tests.builtin.datasets.published_files import shapes3d_labels

CPU = torch.device("cpu")
IMAGES = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)


@pytest.fixture
def rows(tmp_path: Path) -> MappedRows:
    """The images in two files."""
    maps = []
    for number, part in enumerate((IMAGES[:7], IMAGES[7:])):
        np.savez(tmp_path / f"{number}.npz", images=part)
        found, _ = open_images(find_npz(tmp_path / f"{number}.npz", "images")[0], tmp_path, memory="mapped")
        maps += found.parts
    return MappedRows(maps)


@pytest.mark.parametrize(("memory", "held"), [("auto", 0), ("mapped", 0), ("resident", IMAGES.size)])
def test_rows_are_the_same_wherever_they_are(rows: MappedRows, memory: Memory, held: int) -> None:
    dataset = HeldDataset(rows, memory=memory)
    assert (len(dataset), str(dataset.shape)) == (40, "image 3x6x5")
    resident = dataset.resident(CPU)
    assert resident.numel() == held
    wanted = torch.tensor([39, 6, 7, 0, 7])
    np.testing.assert_array_equal(dataset.take(resident, wanted).numpy(), IMAGES[wanted.numpy()])


def test_rows_that_are_not_mapped_are_resident() -> None:
    assert torch.equal(HeldDataset(IMAGES, memory="mapped").resident(CPU), torch.from_numpy(IMAGES))


def test_shapes_alone_need_no_reading(rows: MappedRows) -> None:
    for memory in ("auto", "mapped", "resident"):
        resident = HeldDataset(rows, memory=memory).resident(torch.device("meta"))
        assert (resident.device.type, tuple(resident.shape)) == ("meta", IMAGES.shape)


# The file is decoded, 4000 batches of 16 drawn from all over it, and memory read off: what only this process has (RssAnon),
# and the most it ever had with all pages of files (VmHWM; ru_maxrss would begin with that of the process that started it).
PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np, torch
torch.set_num_threads(1)
from aerepr.builtin.datasets.shapes3d import Shapes3DDataset, Shapes3DSpec
from aerepr.data.source import DataSource
from aerepr.kinds.dataset import DataContext

def of_status(key):
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[key].split()[0]) * 1024

folder, memory = Path(sys.argv[1]), sys.argv[2]
before, anonymous = of_status("VmHWM"), of_status("RssAnon")
spec = Shapes3DSpec(name="shapes3d", root=".", memory=memory, subset_file=True)
dataset = Shapes3DDataset(spec, DataContext(folder, folder / "cache"))
data = DataSource(dataset, spec)
rows = np.random.Generator(np.random.PCG64(0)).integers(0, len(dataset), (4000, 16))
for chosen in rows:
    data.batch(torch.from_numpy(chosen))
print(json.dumps({"array": len(dataset) * 12288, "peak": of_status("VmHWM") - before,
                  "anonymous": of_status("RssAnon") - anonymous}))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3D Shapes, its first 25,000 rows: 307 MB decoded, almost nothing on disk, because chunks of zeros are left out."""
    folder = tmp_path_factory.mktemp("large")
    with h5py.File(folder / "3dshapes.h5", "w") as file:
        images = file.create_dataset(
            "images", (25_000, 64, 64, 3), np.uint8, chunks=(50, 64, 64, 3), compression="gzip"
        )
        images[::5000] = 200
        file["labels"] = shapes3d_labels(np.arange(25_000))
    return folder


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read off /proc")
@pytest.mark.parametrize("memory", ["mapped", "resident"])
def test_memory_stays_near_that_of_the_array_or_far_below(large: Path, memory: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(large), memory], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["array"] == 25_000 * 64 * 64 * 3
    if memory == "resident":
        assert found["array"] < found["peak"] < 1.5 * found["array"]
    else:
        assert found["anonymous"] < 0.3 * found["array"]
        # Nor do pages of the file count as its own.
        assert found["peak"] < 0.5 * found["array"], found
