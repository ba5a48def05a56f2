"""What napari is offered by the manifest ``napari.yaml``: slides, projects, the sample, and the window itself.

Nothing here imports napari: it gives layers as tuples of data, settings and kind.
"""
