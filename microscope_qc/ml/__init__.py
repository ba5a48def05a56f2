"""Models: networks, data sets, training, inference, evaluation. The only room that knows torch."""
