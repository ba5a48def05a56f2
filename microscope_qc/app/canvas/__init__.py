"""The canvas: pixels, boxes, marks and the tools on them. Nothing else in the window imports napari."""
