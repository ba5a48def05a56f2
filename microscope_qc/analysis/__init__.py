"""Order, numbers and scores: what the finds say about a slide and a model about the finds."""
