"""Numbers about findings, in which order they are judged, and how well they agree with the truth."""
