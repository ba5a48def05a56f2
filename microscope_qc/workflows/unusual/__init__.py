"""Finding what nobody labelled: learning what is normal on a slide, and pointing at the rest."""
