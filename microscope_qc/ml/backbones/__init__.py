"""Networks that turn pictures into feature maps, shared by detectors, classifiers and feature stores."""
