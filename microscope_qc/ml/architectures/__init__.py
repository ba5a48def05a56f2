"""Networks: what each is, and how it is built, trained and run over tiles; one folder per family."""
