"""Data sets: annotated images, and the training crops taken from them. No torch in here."""

from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset, LeftOutOfData

__all__ = ["AnnotatedImage", "Dataset", "LeftOutOfData"]
