"""Any slide as one lazy multiscale mosaic: CZI, OME-Zarr, OME-TIFF, SVS, TIFF, ordinary pictures."""

from microscope_qc.slides.base import Mosaic, Slide
from microscope_qc.slides.info import slide_info
from microscope_qc.slides.opening import open_slide
from microscope_qc.slides.pixels import Channel, Level

__all__ = ["Channel", "Level", "Mosaic", "Slide", "open_slide", "slide_info"]
