"""Any slide as one lazy multiscale mosaic: CZI, OME-Zarr, OME-TIFF, SVS, TIFF, PNG, JPEG."""

from microscope_qc.slides.base import Channel, Level, Mosaic, Slide
from microscope_qc.slides.info import slide_info
from microscope_qc.slides.opening import open_slide

__all__ = ["Channel", "Level", "Mosaic", "Slide", "open_slide", "slide_info"]
