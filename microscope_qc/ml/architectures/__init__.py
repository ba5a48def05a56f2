"""Networks: what each is, how it is built, trained and run over tiles; one folder for each family."""
