"""Synthetic slides with ground truth: electrodes, magnets, particles."""

from microscope_qc.synthetic.electrode import ElectrodeSlide
from microscope_qc.synthetic.magnet import MagnetSlide
from microscope_qc.synthetic.particles import ParticleSlide
from microscope_qc.synthetic.truth import TrueDefect, coco_truth

__all__ = ["ElectrodeSlide", "MagnetSlide", "ParticleSlide", "TrueDefect", "coco_truth"]
