"""One of everything that another package can add to microscope_qc."""
