"""Opens any data set with the right reader."""

from __future__ import annotations

from pathlib import Path

from microscope_qc.core.errors import ModelError
from microscope_qc.ml.datasets.coco import find_coco, load_coco
from microscope_qc.ml.datasets.records import Dataset
from microscope_qc.ml.datasets.voc import find_voc, load_voc


def load_dataset(path: Path | str) -> Dataset:
    """Read a COCO folder (or file) or a Pascal VOC folder.

    Raises
    ------
    ModelError
        When there are no annotations, no images or no boxes.
    """
    root = Path(path)
    if not root.exists():
        raise ModelError(f"{root} does not exist.", hint="Give a folder with annotations and images.")
    documents = find_coco(root)
    if documents:
        dataset = load_coco(documents)
    else:
        annotations = find_voc(root) if root.is_dir() else []
        if not annotations:
            raise ModelError(
                f"{root} contains no annotations.",
                hint="A COCO .json beside its images, or Pascal VOC .xml files, is needed.",
            )
        dataset = load_voc(root, annotations)
    if not dataset.images:
        raise ModelError(
            f"None of the images that {root.name} lists was found.", hint="Put them beside the annotations."
        )
    return dataset
