"""A task: every place of a slide is dark, grey or bright."""

from microscope_qc.ml.tasks.kinds import TaskKind


class Bands(TaskKind):
    """A label for every place."""

    name, title, does, model = "bands", "Bands of grey", "labels every place by its grey", "a model of grey bands"
    on_lattice = True


BANDS = Bands()
