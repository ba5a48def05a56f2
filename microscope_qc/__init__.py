"""Review of polished cross-sections: huge micrographs, defects, statistics and stage coordinates."""

__version__ = "0.1.0"
