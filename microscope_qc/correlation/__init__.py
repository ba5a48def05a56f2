"""From places on the slide to places under the electron microscope, and back."""
