"""A network, a slide format, a statistic and a panel for microscope_qc."""
