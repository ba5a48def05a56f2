"""Networks that turn pictures into feature maps, shared by detectors, classifiers and feature stores."""

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the installed weights of EfficientNet-Lite0."""
