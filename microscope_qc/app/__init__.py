"""The window: Qt and napari. Nothing below this room knows either."""
