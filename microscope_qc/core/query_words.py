"""What a query may ask of a finding, in words; apart from the fields themselves, for the command line's help."""

FIELD_WORDS = {
    "class": "short code of its class",
    "confidence": "confidence of the model, 0 to 1; confidence=drawn where there is none",
    "state": "unreviewed, confirmed or rejected",
    "slide": "name of its slide",
    "run": "number of a run that found it, by itself or with others; run=none where none did",
    "disputed": "whether a model that counts says another class: yes or no",
    "again": "whether a model found it after a user had rejected or deleted it: yes or no",
    "chosen": "whether it is chosen for the SEM: yes or no",
    "note": "what a user wrote about it",
    "reason": "why it was rejected",
    "text": "class, note, reason, attributes, slide and number at once: text~word",
    "size_um": "longer side of its box, in um",
    "width_um": "width of its box, in um",
    "height_um": "height of its box, in um",
    "size_px": "longer side of its box, in slide pixels",
    "x_px": "middle of its box from the left, in slide pixels",
    "y_px": "middle of its box from the top, in slide pixels",
    "number": "its number in the project; #460 alone means the same",
}
