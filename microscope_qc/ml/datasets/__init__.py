"""Data sets: annotated images on disk, and the training crops taken from them. No torch in here."""

from microscope_qc.ml.datasets.opening import load_dataset
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset, split

__all__ = ["AnnotatedImage", "Dataset", "load_dataset", "split"]
